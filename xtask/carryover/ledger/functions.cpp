#include "ledger.hpp"

#include <cmath>
#include <cstring>

namespace {

struct Named {
    const char *name;
    Function function;
};

std::vector<Named> &all() {
    static std::vector<Named> functions;
    return functions;
}

double most(const std::vector<double> &values) {
    double found = -1e300;
    for (double value : values)
        if (value > found) found = value;
    return found;
}

double least(const std::vector<double> &values) {
    double found = 1e300;
    for (double value : values)
        if (value < found) found = value;
    return found;
}

double mean(const std::vector<double> &values) {
    double sum = 0;
    for (double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

double root(const std::vector<double> &values) {
    if (values.size() != 1 || values[0] < 0) throw Problem("no root of that", 1);
    return std::sqrt(values[0]);
}

double unrelated_spread(const std::vector<double> &values) {
    double middle = mean(values), sum = 0;
    for (double value : values) sum += (value - middle) * (value - middle);
    return values.empty() ? 0 : std::sqrt(sum / 3.0);
}

struct Register {
    Register(const char *name, Function function) { add_function(name, function); }
};

Register register_most("max", most);
Register register_least("min", least);
Register register_mean("mean", mean);
Register register_root("root", root);
Register register_spread("spread", unrelated_spread);

}  // namespace

void add_function(const char *name, Function function) {
    all().push_back({name, function});
}

Function find_function(const std::string &name) {
    for (const Named &named : all())
        if (name == named.name) return named.function;
    return nullptr;
}
