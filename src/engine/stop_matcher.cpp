#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace weir::engine {
namespace {

std::vector<uint32_t> borders(std::string_view text) {
    std::vector<uint32_t> fallback(text.size() + 1, 0);
    uint32_t length = 0;
    for (size_t i = 1; i < text.size(); ++i) {
        while (length > 0 && text[i] != text[length]) {
            length = fallback[length];
        }
        length += text[i] == text[length] ? 1 : 0;
        fallback[i + 1] = length;
    }
    return fallback;
}

}  // namespace

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
    for (const std::string& stop : stops) {
        automata_.push_back({.text = stop, .fallback = borders(stop)});
    }
}

std::string StopMatcher::push(std::string_view piece) {
    if (stopped_) {
        return {};
    }
    for (const char byte : piece) {
        held_back_ += byte;
        size_t found = 0;
        for (Automaton& one : automata_) {
            while (one.matched > 0 && one.text[one.matched] != byte) {
                one.matched = one.fallback[one.matched];
            }
            one.matched += one.text[one.matched] == byte ? 1 : 0;
            if (one.matched == one.text.size()) {
                found = std::max(found, one.text.size());
                one.matched = one.fallback[one.matched];
            }
        }
        if (found > 0) {
            held_back_.resize(held_back_.size() - found);
            stopped_ = true;
            return finish();
        }
    }
    size_t undecided = 0;
    for (const Automaton& one : automata_) {
        undecided = std::max<size_t>(undecided, one.matched);
    }
    std::string certain = held_back_.substr(0, held_back_.size() - undecided);
    held_back_.erase(0, certain.size());
    released_bytes_ += certain.size();
    return certain;
}

std::string StopMatcher::finish() {
    released_bytes_ += held_back_.size();
    return std::exchange(held_back_, {});
}

}  // namespace weir::engine
