#include "base/failpoint.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

namespace weir {
namespace {

struct Armed {
    std::mutex mutex;
    std::vector<std::string> names;  // guarded by mutex

    Armed() {
        const char* listed = std::getenv("WEIR_FAILPOINTS");
        std::string_view rest = listed == nullptr ? "" : listed;
        while (!rest.empty()) {
            const size_t comma = std::min(rest.find(','), rest.size());
            names.emplace_back(rest.substr(0, comma));
            rest.remove_prefix(std::min(comma + 1, rest.size()));
        }
    }
};

Armed& armed() {
    static Armed state;
    return state;
}

}  // namespace

bool failpoint_armed(std::string_view name) {
    Armed& state = armed();
    const std::lock_guard lock(state.mutex);
    return std::find(state.names.begin(), state.names.end(), name) != state.names.end();
}

ArmedFailpoint::ArmedFailpoint(std::string_view name) : name_(name) {
    const std::lock_guard lock(armed().mutex);
    armed().names.emplace_back(name);
}

ArmedFailpoint::~ArmedFailpoint() {
    const std::lock_guard lock(armed().mutex);
    auto& names = armed().names;
    names.erase(std::find(names.begin(), names.end(), name_));
}

}  // namespace weir
