#pragma once

#include <string_view>

#include "api/limits.h"
#include "base/result.h"
#include "chat/request.h"

namespace weir::api {

// Reads the bodies of POST /v1/chat/completions and POST /v1/completions.
//
// Every field of OpenAI's description is honoured, harmless (it changes no answer; kept in
// `passed_on`), or refused by name; a field that nobody knows is refused too, because it might
// change the answer. Which is which, field by field: the table in openai_chat_test.cpp. Honoured
// besides are what vLLM and llama.cpp add: top_k, min_p, repetition_penalty, stop_token_ids,
// ignore_eos, chat_template_kwargs (an allow-list), reasoning_content in assistant messages.
//
// Left empty, for the caller to fill: id, tenant, inspection; seed if the client gave none.
//
// Errors: InvalidArgument, or Unsupported for what is well formed but not offered; both are 400.
// `field` is the path of the field at fault. `reason` is "invalid_json", "invalid_value",
// "unknown_parameter" or "unsupported_parameter". Messages never quote values.
Result<chat::ChatRequest> parse_chat_request(std::string_view body, const ApiLimits& limits);

// prompt may be a string, strings, token ids, or arrays of token ids. Without max_tokens the
// limit is OpenAI's 16; max_tokens 0 is allowed with echo only (the prompt is scored).
Result<chat::ChatRequest> parse_completion_request(std::string_view body, const ApiLimits& limits);

}  // namespace weir::api
