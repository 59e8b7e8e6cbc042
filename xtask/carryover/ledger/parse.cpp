#include "ledger.hpp"

#include <cctype>
#include <cmath>

namespace {

struct Number final : Formula {
    double number;
    explicit Number(double number) : number(number) {}
    double value(const Sheet &, int) const override { return number; }
    std::string text() const override { return std::to_string(number); }
};

struct Cell final : Formula {
    std::string name;
    explicit Cell(std::string name) : name(std::move(name)) {}
    double value(const Sheet &sheet, int depth) const override { return sheet.value(name, depth + 1); }
    std::string text() const override { return "cell " + name; }
};

struct Pair : Formula {
    FormulaPointer left, right;
    int place;
    Pair(FormulaPointer left, FormulaPointer right, int place)
        : left(std::move(left)), right(std::move(right)), place(place) {}
    double value(const Sheet &sheet, int depth) const override {
        return join(left->value(sheet, depth), right->value(sheet, depth));
    }
    std::string text() const override { return "(" + left->text() + sign() + right->text() + ")"; }
    virtual double join(double a, double b) const = 0;
    virtual const char *sign() const = 0;
};

struct Sum final : Pair {
    using Pair::Pair;
    double join(double a, double b) const override { return a + b; }
    const char *sign() const override { return " + "; }
};

struct Difference final : Pair {
    using Pair::Pair;
    double join(double a, double b) const override { return a - b; }
    const char *sign() const override { return " - "; }
};

struct Product final : Pair {
    using Pair::Pair;
    double join(double a, double b) const override { return a * b; }
    const char *sign() const override { return " * "; }
};

struct Quotient final : Pair {
    using Pair::Pair;
    double join(double a, double b) const override {
        if (b == 0) throw DividedByZero(place);
        return a / b;
    }
    const char *sign() const override { return " / "; }
};

struct Call final : Formula {
    std::string name;
    std::vector<FormulaPointer> arguments;
    double value(const Sheet &sheet, int depth) const override {
        std::vector<double> values;
        for (const auto &argument : arguments) values.push_back(argument->value(sheet, depth));
        Function function = find_function(name);
        if (function == nullptr) throw Problem("no function " + name, 0);
        return function(values);
    }
    std::string text() const override { return name + "()"; }
};

struct Parser {
    const std::string &source;
    size_t at = 0;

    char peek() {
        while (at < source.size() && source[at] == ' ') at++;
        return at < source.size() ? source[at] : '\0';
    }

    FormulaPointer sum() {
        auto left = product();
        for (;;) {
            int place = static_cast<int>(at);
            switch (peek()) {
            case '+': at++; left = std::make_unique<Sum>(std::move(left), product(), place); break;
            case '-': at++; left = std::make_unique<Difference>(std::move(left), product(), place); break;
            default: return left;
            }
        }
    }

    FormulaPointer product() {
        auto left = single();
        for (;;) {
            int place = static_cast<int>(at);
            if (peek() == '*') {
                at++;
                left = std::make_unique<Product>(std::move(left), single(), place);
            } else if (peek() == '/') {
                at++;
                left = std::make_unique<Quotient>(std::move(left), single(), place);
            } else {
                return left;
            }
        }
    }

    FormulaPointer single() {
        char next = peek();
        if (next == '(') {
            at++;
            auto inner = sum();
            if (peek() != ')') throw Problem("a bracket is open", static_cast<int>(at));
            at++;
            return inner;
        }
        if (std::isdigit(static_cast<unsigned char>(next))) return number();
        if (std::isalpha(static_cast<unsigned char>(next))) return name();
        throw Problem("nothing that can be read", static_cast<int>(at));
    }

    FormulaPointer number() {
        double value = 0, scale = 1;
        bool fraction = false;
        for (; at < source.size() && (std::isdigit(static_cast<unsigned char>(source[at])) || source[at] == '.'); at++) {
            if (source[at] == '.') {
                fraction = true;
                continue;
            }
            value = value * 10 + (source[at] - '0');
            if (fraction) scale *= 10;
        }
        return std::make_unique<Number>(value / scale);
    }

    FormulaPointer name() {
        std::string word;
        while (at < source.size() && std::isalnum(static_cast<unsigned char>(source[at]))) word += source[at++];
        if (peek() != '(') return std::make_unique<Cell>(word);
        auto call = std::make_unique<Call>();
        call->name = word;
        at++;
        while (peek() != ')') {
            call->arguments.push_back(sum());
            if (peek() == ',') at++;
            else if (peek() != ')') throw Problem("a comma is missing", static_cast<int>(at));
        }
        at++;
        return call;
    }
};

}  // namespace

FormulaPointer parse(const std::string &text) {
    Parser parser{text};
    auto formula = parser.sum();
    if (parser.peek() != '\0') throw Problem("something is left over", static_cast<int>(parser.at));
    return formula;
}
