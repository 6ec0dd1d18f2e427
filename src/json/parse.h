#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"
#include "json/flat.h"
#include "json/value.h"

namespace weir::json {

struct ParseLimits {
    size_t depth_max = 64;
    // Whole numbers that fit no integer become the nearest double instead of an error.
    bool rounds_large = false;
};

// Of files that transformers writes: their model_max_length is 10^30 where nobody knows it.
inline constexpr ParseLimits kModelFile{.depth_max = 64, .rounds_large = true};

// Reads one JSON text (RFC 8259), strictly: UTF-8 only, no byte-order mark, no comments, nothing
// after the value. Refused besides: members that occur twice (two readers would disagree on which
// one counts), numbers outside int64/uint64/double (a whole number that does not fit is not
// rounded, unless the limits say so; 1e400 is not infinity), nesting deeper than the limit. Doubles
// are the nearest ones.
//
// Errors: InvalidArgument with the byte offset; the message never quotes the text.
Result<Value> parse(std::string_view text, const ParseLimits& limits = {});

// A member of a member of the root that is wanted flat where it is an array or an object.
struct FlatMember {
    std::string_view object;
    std::string_view name;
    Flat flat = Flat();
};

// The same, but fills `members`, whose texts borrow `text`, and leaves null in their places.
// Errors: besides, TooLarge for 4 GiB or more.
Result<Value> parse(std::string_view text, std::span<FlatMember> members,
                    const ParseLimits& limits = {});

}  // namespace weir::json
