// Formulas over a sheet of cells: virtual functions, exceptions, static constructors.
#pragma once
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct Sheet;

struct Problem : std::runtime_error {
    int place;
    Problem(const std::string &what, int place) : std::runtime_error(what), place(place) {}
};

struct DividedByZero : Problem {
    explicit DividedByZero(int place) : Problem("division by zero", place) {}
};

struct Formula {
    virtual ~Formula() = default;
    virtual double value(const Sheet &sheet, int depth) const = 0;
    virtual std::string text() const { return "?"; }
};

using FormulaPointer = std::unique_ptr<Formula>;
using Function = double (*)(const std::vector<double> &);

struct Sheet {
    std::map<std::string, FormulaPointer> cells;
    double value(const std::string &name, int depth) const;
};

void add_function(const char *name, Function function);
Function find_function(const std::string &name);
FormulaPointer parse(const std::string &text);
std::string unrelated_describe(const Sheet &sheet, bool with_values);
