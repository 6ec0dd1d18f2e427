#include "providers/openai/encode.h"

#include <fmt/ranges.h>

#include <cmath>

namespace weir::providers {
namespace {

using chat::SamplingParams;

// The shortest digits that read back as the same float, so that 0.7 goes out as 0.7.
void write_float(json::Writer& writer, std::string_view name, float number) {
    writer.key(name).raw(fmt::format("{}", number));
}

void write_optional(json::Writer& writer, std::string_view name, std::optional<float> number) {
    if (number) {
        write_float(writer, name, *number);
    }
}

Result<void> encode_logit_bias(json::Writer& writer, const SamplingParams& sampling,
                               const OpenAiDialect& dialect) {
    if (sampling.logit_bias.empty()) {
        return {};
    }
    writer.key("logit_bias").begin_object();
    for (const auto& [token, bias] : sampling.logit_bias) {
        if (bias != std::trunc(bias) && !dialect.extended_sampling) {
            return inexpressible("logit_bias");
        }
        write_float(writer, fmt::format("{}", token), bias);
    }
    writer.end_object();
    return {};
}

Result<void> encode_stop(json::Writer& writer, const SamplingParams& sampling,
                         const OpenAiDialect& dialect) {
    if (sampling.stop.empty()) {
        return {};
    }
    if (sampling.stop.size() > dialect.stops_max) {
        return inexpressible("stop");
    }
    writer.key("stop").begin_array();
    for (const std::string& stop : sampling.stop) {
        writer.value(std::string_view(stop));
    }
    writer.end_array();
    return {};
}

// The first extension that the request uses, or an empty view.
std::string_view used_extension(const SamplingParams& sampling) {
    if (sampling.top_k) {
        return "top_k";
    }
    if (sampling.min_p) {
        return "min_p";
    }
    if (sampling.repetition_penalty != 1.0f) {
        return "repetition_penalty";
    }
    if (!sampling.stop_token_ids.empty()) {
        return "stop_token_ids";
    }
    return sampling.ignore_eos ? "ignore_eos" : "";
}

Result<void> encode_extensions(json::Writer& writer, const SamplingParams& sampling,
                               const OpenAiDialect& dialect) {
    const std::string_view used = used_extension(sampling);
    if (!dialect.extended_sampling) {
        return used.empty() ? Result<void>() : inexpressible(used);
    }
    if (sampling.top_k) {
        writer.member("top_k", *sampling.top_k);
    }
    write_optional(writer, "min_p", sampling.min_p);
    if (sampling.repetition_penalty != 1.0f) {
        write_float(writer, "repetition_penalty", sampling.repetition_penalty);
    }
    if (!sampling.stop_token_ids.empty()) {
        writer.key("stop_token_ids")
            .raw(fmt::format("[{}]", fmt::join(sampling.stop_token_ids, ",")));
    }
    if (sampling.ignore_eos) {
        writer.member("ignore_eos", true);
    }
    return {};
}

Result<void> encode_sampling(json::Writer& writer, const SamplingParams& sampling,
                             const OpenAiDialect& dialect) {
    write_optional(writer, "temperature", sampling.temperature);
    write_optional(writer, "top_p", sampling.top_p);
    if (sampling.presence_penalty != 0.0f) {
        write_float(writer, "presence_penalty", sampling.presence_penalty);
    }
    if (sampling.frequency_penalty != 0.0f) {
        write_float(writer, "frequency_penalty", sampling.frequency_penalty);
    }
    WEIR_TRY(encode_logit_bias(writer, sampling, dialect));
    WEIR_TRY(encode_stop(writer, sampling, dialect));
    WEIR_TRY(encode_extensions(writer, sampling, dialect));
    if (sampling.seed) {
        writer.member("seed", static_cast<int64_t>(*sampling.seed));  // the same modulo 2^64
    }
    if (sampling.choices != 1) {
        writer.member("n", sampling.choices);
    }
    return {};
}

void encode_response_format(json::Writer& writer, const chat::ResponseFormat& format) {
    writer.key("response_format").begin_object();
    switch (format.kind) {
        case chat::ResponseFormat::Kind::Text:
            writer.member("type", "text");
            break;
        case chat::ResponseFormat::Kind::JsonObject:
            writer.member("type", "json_object");
            break;
        case chat::ResponseFormat::Kind::JsonSchema:
            writer.member("type", "json_schema").key("json_schema").begin_object();
            write_text_member(writer, "name", format.name);
            if (format.description) {
                write_text_member(writer, "description", *format.description);
            }
            if (format.schema) {
                writer.key("schema").raw(*format.schema);
            }
            if (format.strict) {
                writer.member("strict", *format.strict);
            }
            writer.end_object();
            break;
    }
    writer.end_object();
}

Result<void> encode_chat(json::Writer& writer, const chat::ChatRequest& request,
                         const chat::Conversation& conversation, const OpenAiDialect& dialect) {
    const SamplingParams& sampling = request.sampling;
    WEIR_TRY(encode_conversation(writer, conversation, dialect));
    if (sampling.tokens_max) {
        const bool newer =
            dialect.tokens_member == OpenAiDialect::TokensMember::MaxCompletionTokens;
        writer.member(newer ? "max_completion_tokens" : "max_tokens", *sampling.tokens_max);
    }
    if (sampling.logprobs) {
        writer.member("logprobs", true).member("top_logprobs", *sampling.logprobs);
    }
    if (request.response_format) {
        encode_response_format(writer, *request.response_format);
    }
    return {};
}

void encode_prompt(json::Writer& writer,
                   const std::variant<std::string, std::vector<TokenId>>& prompt) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
        writer.value(std::string_view(*text));
    } else {
        writer.raw(fmt::format("[{}]", fmt::join(std::get<std::vector<TokenId>>(prompt), ",")));
    }
}

Result<void> encode_raw(json::Writer& writer, const chat::ChatRequest& request,
                        const chat::RawPrompts& raw, const OpenAiDialect& dialect) {
    const SamplingParams& sampling = request.sampling;
    if (request.response_format) {
        return inexpressible("response_format");
    }
    if (sampling.logprobs && *sampling.logprobs > dialect.completion_logprobs_max) {
        return inexpressible("logprobs");
    }
    writer.key("prompt");
    if (raw.prompts.size() == 1) {
        encode_prompt(writer, raw.prompts[0]);
    } else {
        writer.begin_array();
        for (const auto& prompt : raw.prompts) {
            encode_prompt(writer, prompt);
        }
        writer.end_array();
    }
    if (raw.echo) {
        writer.member("echo", true);
    }
    if (sampling.tokens_max) {
        writer.member("max_tokens", *sampling.tokens_max);
    }
    if (sampling.best_of) {
        writer.member("best_of", *sampling.best_of);
    }
    if (sampling.logprobs) {
        writer.member("logprobs", *sampling.logprobs);
    }
    return {};
}

Result<net::Headers> encode_headers(const chat::ChatRequest& request,
                                    const OpenAiDialect& dialect) {
    net::Headers headers{
        {"content-type", "application/json"},
        {"accept", request.stream ? "text/event-stream" : "application/json"},
    };
    if (dialect.own_worker) {
        if (!net::is_field_value(request.id) || !net::is_field_value(request.tenant)) {
            return fail(ErrorCode::Internal, "the request's id or tenant fits no header");
        }
        headers.add("x-weir-request-id", request.id);
        headers.add("x-weir-drawn-seed", fmt::format("{}", request.drawn_seed));
        if (request.asked_at) {
            headers.add("x-weir-asked-at",
                        fmt::format("{}", request.asked_at->time_since_epoch().count()));
        }
        if (!request.tenant.empty()) {
            headers.add("x-weir-tenant", request.tenant);
        }
    }
    return headers;
}

}  // namespace

std::unexpected<Error> inexpressible(std::string_view field) {
    return std::unexpected(
        make_error(ErrorCode::Unsupported, "the backend of this model cannot honour {}", field)
            .with_field(field)
            .with_reason("unsupported_parameter"));
}

void write_text_member(json::Writer& writer, std::string_view name, std::string_view text) {
    writer.key(name).value(text);
}

Result<Call> encode_openai(const chat::ChatRequest& request, const OpenAiOptions& options) {
    const OpenAiDialect& dialect = options.dialect;
    const auto* raw = std::get_if<chat::RawPrompts>(&request.input);
    Call call;
    call.method = "POST";
    call.path = options.base_path + (raw != nullptr ? "/completions" : "/chat/completions");
    WEIR_TRY_ASSIGN(call.headers, encode_headers(request, dialect));
    json::Writer writer(call.body);
    writer.begin_object();
    write_text_member(writer, "model", options.model);
    if (raw != nullptr) {
        WEIR_TRY(encode_raw(writer, request, *raw, dialect));
    } else {
        WEIR_TRY(
            encode_chat(writer, request, std::get<chat::Conversation>(request.input), dialect));
    }
    WEIR_TRY(encode_sampling(writer, request.sampling, dialect));
    if (request.stream) {
        writer.member("stream", true).key("stream_options").begin_object();
        writer.member("include_usage", true).end_object();
    }
    if (dialect.harmless_fields) {
        for (const auto& [name, value] : request.passed_on) {
            writer.key(name).raw(value);
        }
    }
    writer.end_object();
    return call;
}

}  // namespace weir::providers
