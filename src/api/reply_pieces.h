#pragma once

// Pieces that whole answers and streams, of chat and of completions, have in common.

#include <span>
#include <string>
#include <string_view>

#include "api/openai_reply.h"
#include "json/write.h"

namespace weir::api {

inline constexpr std::string_view kChatIdPrefix = "chatcmpl-";
inline constexpr std::string_view kCompletionIdPrefix = "cmpl-";

// id, object, created, model, and the fingerprint if the backend told one.
void write_head(json::Writer& writer, const ReplyHead& head, std::string_view id_prefix,
                std::string_view object, const chat::Started& started);

void write_usage(json::Writer& writer, const chat::Usage& usage);

// Chat's shape: {"content":[{token, logprob, bytes, top_logprobs}],"refusal":null}.
void write_chat_logprobs(json::Writer& writer, std::span<const chat::TokenLogprob> logprobs);

// Completions' shape: tokens, token_logprobs, top_logprobs and text_offset side by side.
// `characters` is how many the choice had before, and is moved on.
void write_completion_logprobs(json::Writer& writer, std::span<const chat::TokenLogprob> logprobs,
                               uint64_t& characters);

// tool_calls is chat's alone: completions say "stop".
std::string_view completion_finish_reason(chat::FinishReason reason);

std::string chat_reply_json(const ReplyHead& head, const chat::ChatRequest& request,
                            const Reply& reply);
std::string completion_reply_json(const ReplyHead& head, const chat::ChatRequest& request,
                                  const Reply& reply);

}  // namespace weir::api
