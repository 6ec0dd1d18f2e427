#include <charconv>
#include <limits>

#include "api/request_fields.h"

namespace weir::api {
namespace {

using json::in_range;

constexpr TokenId kTokenIdMax = std::numeric_limits<int32_t>::max();

// "123": no sign, no leading zero, nothing around it, so that one token has one spelling.
std::optional<TokenId> token_id_from(std::string_view text) {
    if (text.empty() || (text.size() > 1 && text[0] == '0') || text[0] == '-') {
        return std::nullopt;
    }
    TokenId id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size() || id > kTokenIdMax) {
        return std::nullopt;
    }
    return id;
}

Result<void> read_logit_bias(json::Fields& fields, const ApiLimits& limits,
                             chat::SamplingParams& sampling) {
    WEIR_TRY_ASSIGN(const json::Object* found, fields.object("logit_bias"));
    if (found == nullptr) {
        return {};
    }
    if (found->size() > limits.logit_bias_max) {
        return invalid_argument("logit_bias", "logit_bias has {} entries, the limit is {}",
                                found->size(), limits.logit_bias_max);
    }
    json::Fields entries(*found, "logit_bias");
    for (const auto& [name, value] : *found) {
        const std::optional<TokenId> id = token_id_from(name);
        if (!id) {
            return invalid_argument("logit_bias", "the names in logit_bias must be token ids");
        }
        std::optional<float> bias;
        WEIR_TRY(entries.read(name, in_range(-100.0f, 100.0f), bias));
        if (!bias) {
            return invalid_argument(entries.path_of(name), "{} must be a number",
                                    entries.path_of(name));
        }
        sampling.logit_bias.emplace_back(*id, *bias);
    }
    return {};
}

Result<void> add_stop(const json::Value& value, const std::string& path, const ApiLimits& limits,
                      std::vector<std::string>& stops) {
    const std::string* text = value.if_string();
    if (text == nullptr) {
        return invalid_argument(path, "{} must be a string, not {}", path, value.kind());
    }
    if (text->empty() || text->size() > limits.stop_bytes_max) {
        return invalid_argument(path, "{} must have 1 to {} bytes", path, limits.stop_bytes_max);
    }
    stops.push_back(*text);
    return {};
}

Result<void> read_stop(json::Fields& fields, const ApiLimits& limits,
                       chat::SamplingParams& sampling) {
    const json::Value* value = fields.get("stop");
    if (value == nullptr) {
        return {};
    }
    const json::Array* stops = value->if_array();
    if (stops == nullptr) {
        if (value->if_string() == nullptr) {
            return invalid_argument("stop", "stop must be a string or an array, not {}",
                                    value->kind());
        }
        return add_stop(*value, "stop", limits, sampling.stop);
    }
    if (stops->size() > limits.stops_max) {
        return invalid_argument("stop", "stop has {} strings, the limit is {}", stops->size(),
                                limits.stops_max);
    }
    for (size_t i = 0; i < stops->size(); ++i) {
        WEIR_TRY(add_stop((*stops)[i], fmt::format("stop[{}]", i), limits, sampling.stop));
    }
    return {};
}

Result<void> read_stop_token_ids(json::Fields& fields, const ApiLimits& limits,
                                 chat::SamplingParams& sampling) {
    WEIR_TRY_ASSIGN(const json::Array* ids, fields.array("stop_token_ids"));
    if (ids == nullptr) {
        return {};
    }
    if (ids->size() > limits.stop_token_ids_max) {
        return invalid_argument("stop_token_ids", "stop_token_ids has {} ids, the limit is {}",
                                ids->size(), limits.stop_token_ids_max);
    }
    return read_token_ids(*ids, "stop_token_ids", sampling.stop_token_ids);
}

// vLLM and llama.cpp write "all" as -1 or 0.
Result<void> read_top_k(json::Fields& fields, chat::SamplingParams& sampling) {
    std::optional<int64_t> top_k;
    WEIR_TRY(
        fields.read("top_k", in_range<int64_t>(-1, std::numeric_limits<int32_t>::max()), top_k));
    if (top_k) {
        sampling.top_k = *top_k < 0 ? 0 : static_cast<uint32_t>(*top_k);
    }
    return {};
}

Result<void> read_seed(json::Fields& fields, chat::SamplingParams& sampling) {
    using Limits = std::numeric_limits<int64_t>;
    std::optional<int64_t> seed;
    WEIR_TRY(fields.read("seed", in_range(Limits::min(), Limits::max()), seed));
    if (seed) {
        sampling.seed = static_cast<uint64_t>(*seed);  // modulo 2^64: distinct stays distinct
    }
    return {};
}

}  // namespace

Result<void> read_token_ids(const json::Array& items, std::string_view path,
                            std::vector<TokenId>& out) {
    out.reserve(out.size() + items.size());
    for (size_t i = 0; i < items.size(); ++i) {
        const auto* number = std::get_if<int64_t>(&items[i].storage());
        if (number == nullptr || *number < 0 || *number > int64_t{kTokenIdMax}) {
            const std::string at = fmt::format("{}[{}]", path, i);
            return invalid_argument(at, "{} must be a token id: a whole number from 0 to {}", at,
                                    kTokenIdMax);
        }
        out.push_back(static_cast<TokenId>(*number));
    }
    return {};
}

Result<void> read_sampling(json::Fields& fields, const ApiLimits& limits,
                           chat::SamplingParams& sampling) {
    WEIR_TRY(fields.read("temperature", in_range(0.0f, 2.0f), sampling.temperature));
    WEIR_TRY(fields.read("top_p", in_range(0.0f, 1.0f), sampling.top_p));
    WEIR_TRY(read_top_k(fields, sampling));
    WEIR_TRY(fields.read("min_p", in_range(0.0f, 1.0f), sampling.min_p));
    // Zero would divide by zero; what is useful lies near 1.
    WEIR_TRY(
        fields.read("repetition_penalty", in_range(0.01f, 10.0f), sampling.repetition_penalty));
    WEIR_TRY(fields.read("presence_penalty", in_range(-2.0f, 2.0f), sampling.presence_penalty));
    WEIR_TRY(fields.read("frequency_penalty", in_range(-2.0f, 2.0f), sampling.frequency_penalty));
    WEIR_TRY(read_logit_bias(fields, limits, sampling));
    WEIR_TRY(read_stop(fields, limits, sampling));
    WEIR_TRY(read_stop_token_ids(fields, limits, sampling));
    WEIR_TRY(fields.read("ignore_eos", sampling.ignore_eos));
    WEIR_TRY(read_seed(fields, sampling));
    return fields.read("n", in_range(1u, limits.choices_max), sampling.choices);
}

}  // namespace weir::api
