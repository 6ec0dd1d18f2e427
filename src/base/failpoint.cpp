#include "base/failpoint.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace weir {
namespace {

struct Armed {
    Mutex mutex;
    std::vector<std::string> names WEIR_GUARDED_BY(mutex);

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
    const MutexLock lock(state.mutex);
    return std::find(state.names.begin(), state.names.end(), name) != state.names.end();
}

ArmedFailpoint::ArmedFailpoint(std::string_view name) : name_(name) {
    Armed& state = armed();
    const MutexLock lock(state.mutex);
    state.names.emplace_back(name);
}

ArmedFailpoint::~ArmedFailpoint() {
    Armed& state = armed();
    const MutexLock lock(state.mutex);
    state.names.erase(std::find(state.names.begin(), state.names.end(), name_));
}

}  // namespace weir
