#pragma once

#include <vector>

#include "base/result.h"
#include "chat/event.h"
#include "json/value.h"

namespace weir::providers {

// A choice's `logprobs`, in chat's shape or in that of completions. Null gives none.
// Errors: InvalidArgument naming the member.
Result<std::vector<chat::TokenLogprob>> read_chat_logprobs(const json::Value* logprobs);
Result<std::vector<chat::TokenLogprob>> read_completion_logprobs(const json::Value* logprobs);

}  // namespace weir::providers
