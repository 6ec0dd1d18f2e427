#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/code_point_set.h"

namespace weir::text {

// What a pattern says, before it becomes an automaton. Internal to Pattern.
struct PatternNode {
    enum class Kind : uint8_t {
        Set,           // one character out of sets[set]
        Sequence,      // children, one behind the other
        Alternatives,  // children, the first that matches
        Repeat,        // children[0], `least` to `most` times
        LookAhead,     // the next character is in sets[set], or, with at_end, there is none
    };
    enum class Greed : uint8_t { Greedy, Lazy };

    Kind kind = Kind::Sequence;
    uint32_t set = 0;
    bool at_end = false;
    Greed greed = Greed::Greedy;
    uint32_t least = 0;
    uint32_t most = 0;
    std::vector<PatternNode> children;
};

struct PatternSyntax {
    static constexpr uint32_t kUnbounded = UINT32_MAX;

    PatternNode root;
    std::vector<CodePointSet> sets;  // distinct
};

// Errors: as Pattern::create.
Result<PatternSyntax> parse_pattern(std::string_view pattern);

}  // namespace weir::text
