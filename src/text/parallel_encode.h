#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/token_model.h"

namespace weir::text {

// From here on several threads are worth starting.
inline constexpr size_t kParallelBytesMin = size_t{1} << 20;

// Appends what model.encode would, worked out by up to `threads_max` threads that live for this
// call alone. Long pieces are cut where the model says that nothing reaches across. Errors: those
// of the first part of the text that has one.
Result<void> encode_in_parallel(const TokenModel& model, std::string_view text,
                                std::span<const Piece> pieces, unsigned threads_max,
                                std::vector<TokenId>& out);

}  // namespace weir::text
