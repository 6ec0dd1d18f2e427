#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/fields.h"

namespace weir::cli {

// Reads JSON objects, one a line, and answers each with one line, in order. A line that cannot be
// answered gets {"error": "…"}, and the next one its turn: one with a member that `answer` did not
// ask for is refused by that name. (What takes long asks before it computes: refuse_unknown.) A
// line may have up to 256 MiB. Errors, at the end: some lines could not be answered, or the answers
// could not be written.
using LineAnswer = std::function<Result<std::string>(json::Fields& question)>;
Result<void> answer_lines(std::istream& in, std::ostream& out, const LineAnswer& answer);

// Numbers of an array member as token ids.
Result<std::vector<uint32_t>> read_ids(json::Fields& fields, std::string_view name);

// Little-endian float32, in base64.
std::string base64_of(std::span<const float> numbers);

}  // namespace weir::cli
