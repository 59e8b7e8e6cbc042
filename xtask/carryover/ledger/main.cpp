#include "ledger.hpp"

#include <cstdio>
#include <unistd.h>

static const int max_depth = 20;

double Sheet::value(const std::string &name, int depth) const {
    if (depth > max_depth) throw Problem("a circle", depth);
    auto found = cells.find(name);
    if (found == cells.end()) throw Problem("no cell " + name, depth);
    return found->second->value(*this, depth);
}

std::string unrelated_describe(const Sheet &sheet, bool with_values) {
    std::string out = "the sheet\n";
    for (const auto &cell : sheet.cells) {
        out += cell.first + " is " + cell.second->text();
        if (with_values) out += " or " + std::to_string(sheet.value(cell.first, 1));
        out += '\n';
    }
    return out;
}

static std::string read_all() {
    std::string text;
    char part[512];
    for (ssize_t got; (got = read(0, part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(got));
    return text;
}

int main(int count, char **) {
    Sheet sheet;
    int problems = 0;
    std::string text = read_all(), line;
    for (char c : text) {
        if (c != '\n') {
            line += c;
            continue;
        }
        auto equals = line.find('=');
        if (equals != std::string::npos) {
            try {
                sheet.cells[line.substr(0, equals)] = parse(line.substr(equals + 1));
            } catch (const Problem &problem) {
                std::printf("%s: %s at %d\n", line.c_str(), problem.what(), problem.place);
                problems++;
            }
        }
        line.clear();
    }
    for (const auto &cell : sheet.cells) {
        try {
            std::printf("%s = %.4f\n", cell.first.c_str(), sheet.value(cell.first, 0));
        } catch (const DividedByZero &problem) {
            std::printf("%s: divided by zero at %d\n", cell.first.c_str(), problem.place);
            problems += 10;
        } catch (const std::exception &problem) {
            std::printf("%s: %s\n", cell.first.c_str(), problem.what());
            problems++;
        }
    }
    if (count > 3) std::fputs(unrelated_describe(sheet, count > 4).c_str(), stdout);
    return problems;
}
