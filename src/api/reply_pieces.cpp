#include "api/reply_pieces.h"

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace weir::api {
namespace {

using chat::TokenLogprob;

// OpenAI's stand-in for minus infinity, which JSON does not have.
constexpr std::string_view kNever = "-9999.0";

// The shortest digits that read back as the same float.
void write_logprob(json::Writer& writer, float logprob) {
    if (std::isfinite(logprob)) {
        writer.raw(fmt::format("{}", logprob));
    } else {
        writer.raw(kNever);
    }
}

// A token may be part of a character only; JSON then gets `prefix` and \xNN for each byte.
std::string token_text(std::string_view bytes, std::string_view prefix) {
    if (utf8::is_valid(bytes)) {
        return std::string(bytes);
    }
    std::string text(prefix);
    for (const char byte : bytes) {
        fmt::format_to(std::back_inserter(text), "\\x{:02x}", static_cast<unsigned char>(byte));
    }
    return text;
}

void write_token(json::Writer& writer, const std::string& bytes, float logprob) {
    writer.member("token", std::string_view(token_text(bytes, "")));
    writer.key("logprob");
    write_logprob(writer, logprob);
    writer.key("bytes").begin_array();
    for (const char byte : bytes) {
        writer.value(uint32_t{static_cast<unsigned char>(byte)});
    }
    writer.end_array();
}

std::string completion_token(std::string_view bytes) {
    return token_text(bytes, "bytes:");
}

// The first token of an echoed prompt has nothing before it and so no probability: NaN, here null.
// Names are unique: of two tokens with the same bytes the likelier stays.
void write_top(json::Writer& writer, const TokenLogprob& token) {
    if (std::isnan(token.logprob)) {
        writer.null();
        return;
    }
    std::vector<std::string> seen;
    const auto write = [&](const std::string& bytes, float logprob) {
        std::string text = completion_token(bytes);
        if (std::ranges::find(seen, text) == seen.end()) {
            writer.key(text);
            write_logprob(writer, logprob);
            seen.push_back(std::move(text));
        }
    };
    writer.begin_object();
    for (const chat::TopLogprob& top : token.top) {
        write(top.bytes, top.logprob);
    }
    write(token.bytes, token.logprob);
    writer.end_object();
}

uint64_t characters_begun(std::string_view bytes) {
    return static_cast<uint64_t>(std::ranges::count_if(
        bytes, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

}  // namespace

void write_head(json::Writer& writer, const ReplyHead& head, std::string_view id_prefix,
                std::string_view object, const chat::Started& started) {
    writer.member("id", std::string_view(fmt::format("{}{}", id_prefix, head.id)));
    writer.member("object", object)
        .member("created", head.created)
        .member("model", std::string_view(head.model));
    if (started.system_fingerprint) {
        writer.member("system_fingerprint", std::string_view(*started.system_fingerprint));
    }
}

void write_usage(json::Writer& writer, const chat::Usage& usage) {
    writer.begin_object();
    writer.member("prompt_tokens", usage.prompt_tokens);
    writer.member("completion_tokens", usage.completion_tokens);
    writer.member("total_tokens", usage.prompt_tokens + usage.completion_tokens);
    writer.key("prompt_tokens_details").begin_object();
    writer.member("cached_tokens", usage.cached_tokens).end_object();
    writer.key("completion_tokens_details").begin_object();
    writer.member("reasoning_tokens", usage.reasoning_tokens).end_object();
    writer.end_object();
}

void write_chat_logprobs(json::Writer& writer, std::span<const TokenLogprob> logprobs) {
    writer.begin_object().key("content").begin_array();
    for (const TokenLogprob& token : logprobs) {
        writer.begin_object();
        write_token(writer, token.bytes, token.logprob);
        writer.key("top_logprobs").begin_array();
        for (const chat::TopLogprob& top : token.top) {
            writer.begin_object();
            write_token(writer, top.bytes, top.logprob);
            writer.end_object();
        }
        writer.end_array().end_object();
    }
    writer.end_array().key("refusal").null().end_object();
}

void write_completion_logprobs(json::Writer& writer, std::span<const TokenLogprob> logprobs,
                               uint64_t& characters) {
    writer.begin_object().key("tokens").begin_array();
    for (const TokenLogprob& token : logprobs) {
        writer.value(std::string_view(completion_token(token.bytes)));
    }
    writer.end_array().key("token_logprobs").begin_array();
    for (const TokenLogprob& token : logprobs) {
        if (std::isnan(token.logprob)) {
            writer.null();
        } else {
            write_logprob(writer, token.logprob);
        }
    }
    writer.end_array().key("top_logprobs").begin_array();
    for (const TokenLogprob& token : logprobs) {
        write_top(writer, token);
    }
    writer.end_array().key("text_offset").begin_array();
    for (const TokenLogprob& token : logprobs) {
        writer.value(characters);
        characters += characters_begun(token.bytes);
    }
    writer.end_array().end_object();
}

std::string_view completion_finish_reason(chat::FinishReason reason) {
    return chat::name(reason == chat::FinishReason::ToolCalls ? chat::FinishReason::Stop : reason);
}

std::string reply_json(const chat::ChatRequest& request, const ReplyHead& head,
                       const Reply& reply) {
    return std::holds_alternative<chat::RawPrompts>(request.input)
               ? completion_reply_json(head, request, reply)
               : chat_reply_json(head, request, reply);
}

}  // namespace weir::api
