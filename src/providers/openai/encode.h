#pragma once

#include "base/result.h"
#include "chat/request.h"
#include "json/write.h"
#include "providers/call.h"
#include "providers/openai/dialect.h"

namespace weir::providers {

// The request in OpenAI's format: /chat/completions, or /completions for RawPrompts. Streams ask
// for their usage. Errors: Unsupported, with `field`, for what the dialect cannot say.
Result<Call> encode_openai(const chat::ChatRequest& request, const OpenAiOptions& options);

// The members `messages`, `tools`, `tool_choice`, `parallel_tool_calls`, `reasoning_effort` and
// `chat_template_kwargs`.
Result<void> encode_conversation(json::Writer& writer, const chat::Conversation& conversation,
                                 const OpenAiDialect& dialect);

std::unexpected<Error> inexpressible(std::string_view field);

// The schema of a tool or of the answer: its JSON text, already checked.
void write_text_member(json::Writer& writer, std::string_view name, std::string_view text);

}  // namespace weir::providers
