#include "cli/exam_commands.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "cli/json_lines.h"
#include "engine/local_model.h"
#include "engine/sampler.h"
#include "json/write.h"
#include "kv/kv_cache.h"
#include "model/encoder.h"
#include "text/jinja/template.h"

namespace weir::cli {
namespace {

constexpr size_t kTemplateBytesMax = size_t{1} << 20;
constexpr uint32_t kTokensMax = 1u << 20;  // of one line

std::string ids_json(std::span<const TokenId> ids) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().key("ids").begin_array();
    for (const TokenId id : ids) {
        writer.value(id);
    }
    writer.end_array().end_object();
    return out;
}

std::string text_json(std::string_view text) {
    std::string out;
    json::Writer(out).begin_object().member("text", text).end_object();
    return out;
}

// A model and the memory of one sequence at a time.
struct OneSequence {
    std::unique_ptr<engine::ComputeDevice> device;
    std::unique_ptr<model::Model> model;
    std::vector<TokenId> end_ids;

    static Result<OneSequence> load(const ModelAccess& access, const std::string& name) {
        WEIR_TRY_ASSIGN(auto source, access.open(name));
        OneSequence one;
        WEIR_TRY_ASSIGN(const auto tokenizer, engine::load_tokenizer_if_any(*source));
        WEIR_TRY_ASSIGN(const model::MemoryPlan plan, model::plan_memory(*source, {}));
        WEIR_TRY_ASSIGN(one.end_ids,
                        engine::end_tokens_of(*source, tokenizer ? &*tokenizer : nullptr,
                                              plan.info.vocabulary));
        WEIR_TRY_ASSIGN(one.device, engine::ComputeDevice::open(std::nullopt));
        WEIR_TRY_ASSIGN(one.model, model::load_model(std::move(source), {}, one.device->compute()));
        return one;
    }

    Result<std::unique_ptr<kv::KvCache>> cache_for(uint32_t tokens) const {
        const kv::StateSpec& spec = model->state_spec();
        const uint64_t blocks = kv::worst_case_blocks(spec, tokens, tokens);
        return kv::KvCache::create(spec, {.blocks = static_cast<uint32_t>(blocks),
                                          .recurrent_slots = spec.recurrent_bytes > 0 ? 1u : 0u});
    }

    Result<void> check_ids(std::span<const TokenId> ids) const {
        const model::ModelInfo& info = model->info();
        if (ids.empty() || ids.size() > info.context_tokens) {
            return invalid_argument("ids", "ids must hold 1 to {} tokens", info.context_tokens);
        }
        if (*std::max_element(ids.begin(), ids.end()) >= info.vocabulary) {
            return invalid_argument("ids", "an id is not below the vocabulary's {}",
                                    info.vocabulary);
        }
        return {};
    }

    // Computes ids[state.position(), end) in pieces of at most `chunk` tokens; `rows` gets the
    // logits of all of them, or of the last one alone.
    struct Pieces {
        uint32_t chunk = kTokensMax;
        model::LogitsWanted wanted = model::LogitsWanted::Last;
        uint64_t tokens_max = 0;  // the longest that the sequence becomes
    };
    Result<void> advance(kv::SequenceState& state, std::span<const TokenId> ids,
                         const Pieces& pieces, std::vector<float>& rows) const {
        const size_t vocabulary = model->info().vocabulary;
        while (state.position() < ids.size()) {
            const auto count = static_cast<uint32_t>(std::min<size_t>(
                {ids.size() - state.position(), pieces.chunk, model->batch_tokens_max()}));
            if (!state.reserve(state.position() + count)) {
                return fail(ErrorCode::ResourceExhausted, "no block is left");
            }
            const model::SequenceSlice slice{.tokens = ids.subspan(state.position(), count),
                                             .position = state.position(),
                                             .state = state.view(),
                                             .logits = pieces.wanted,
                                             .rope = model->info().rope_variant(pieces.tokens_max)};
            const size_t count_rows = model::logit_rows({&slice, 1});
            if (pieces.wanted == model::LogitsWanted::Last) {
                rows.clear();
            }
            rows.resize(rows.size() + count_rows * vocabulary);
            WEIR_TRY(model->forward({&slice, 1}, std::span(rows).last(count_rows * vocabulary)));
            state.advance(count);
        }
        return {};
    }
};

Result<void> check_numbers(std::span<const float> values) {
    if (std::any_of(values.begin(), values.end(), [](float v) { return std::isnan(v); })) {
        return fail(ErrorCode::Internal,
                    "the model's output is not a number; its file may be damaged");
    }
    return {};
}

// "2025-07-26T09:05:03", as it is shown: no zone.
Result<std::chrono::local_seconds> parse_now(const std::string& text) {
    int year = 0;
    unsigned month = 0;
    unsigned day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    const int read = std::sscanf(text.c_str(), "%4d-%2u-%2uT%2d:%2d:%2d", &year, &month, &day,
                                 &hour, &minute, &second);
    const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                           std::chrono::day(day)};
    if (read != 6 || !date.ok() || hour > 23 || minute > 59 || second > 60) {
        return invalid_argument("now", "now must look like 2025-07-26T09:05:03");
    }
    return std::chrono::local_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
           std::chrono::seconds(second);
}

Result<std::string> template_line(const text::jinja::Template& parsed, json::Fields& fields) {
    const json::Value* context = fields.get("context");
    if (context == nullptr) {
        return invalid_argument("context", "context is required");
    }
    text::jinja::RenderOptions options;
    std::optional<std::string> now;
    WEIR_TRY(fields.read("now", now));
    if (now) {
        WEIR_TRY_ASSIGN(options.now, parse_now(*now));
    }
    WEIR_TRY_ASSIGN(const text::jinja::Rendered rendered, parsed.render(*context, options));
    return text_json(rendered.text());
}

Result<std::string> logits_line(const OneSequence& one, json::Fields& fields) {
    WEIR_TRY_ASSIGN(const auto ids, read_ids(fields, "ids"));
    OneSequence::Pieces pieces{.wanted = model::LogitsWanted::All, .tokens_max = ids.size()};
    WEIR_TRY(fields.read("chunk", json::in_range(1u, kTokensMax), pieces.chunk));
    WEIR_TRY(fields.refuse_unknown());
    WEIR_TRY(one.check_ids(ids));
    WEIR_TRY_ASSIGN(const auto cache, one.cache_for(static_cast<uint32_t>(ids.size())));
    auto state = cache->begin({}, ids, 0);
    std::vector<float> rows;
    WEIR_TRY(one.advance(*state, ids, pieces, rows));
    WEIR_TRY(check_numbers(rows));
    std::string out;
    json::Writer(out).begin_object().member("logits", base64_of(rows)).end_object();
    return out;
}

Result<std::string> generate_line(const OneSequence& one, json::Fields& fields) {
    WEIR_TRY_ASSIGN(auto ids, read_ids(fields, "ids"));
    uint32_t tokens_max = 16;
    chat::SamplingParams params;
    WEIR_TRY(fields.read("max_tokens", json::in_range(0u, kTokensMax), tokens_max));
    WEIR_TRY(fields.read("temperature", json::in_range(0.0f, 100.0f), params.temperature));
    WEIR_TRY(fields.read("ignore_eos", params.ignore_eos));
    std::optional<int64_t> seed;
    WEIR_TRY(fields.read("seed", json::in_range(INT64_MIN, INT64_MAX), seed));
    WEIR_TRY(fields.refuse_unknown());
    WEIR_TRY(one.check_ids(ids));
    const uint32_t limit = static_cast<uint32_t>(ids.size()) + tokens_max;
    if (const uint32_t context = one.model->info().context_tokens; limit > context) {
        return invalid_argument("max_tokens",
                                "{} ids and max_tokens of {} are more than the {} "
                                "tokens of the model's context",
                                ids.size(), tokens_max, context);
    }
    WEIR_TRY_ASSIGN(const auto cache, one.cache_for(limit));
    auto state = cache->begin({}, ids, 0);
    engine::Sampler sampler(params, static_cast<uint64_t>(seed.value_or(0)), 0,
                            one.model->info().vocabulary, ids);
    engine::SamplerScratch scratch;
    const size_t prompt = ids.size();
    std::vector<float> row;
    while (ids.size() < limit) {
        WEIR_TRY(one.advance(*state, ids, {.tokens_max = limit}, row));
        WEIR_TRY_ASSIGN(const auto sampled, sampler.sample(row, ids.size(), scratch));
        const bool ends =
            std::find(one.end_ids.begin(), one.end_ids.end(), sampled.token) != one.end_ids.end();
        if (ends && !params.ignore_eos) {
            break;
        }
        ids.push_back(sampled.token);
    }
    return ids_json(std::span<const TokenId>(ids).subspan(prompt));
}

Result<std::string> embed_line(model::Encoder& encoder, json::Fields& fields) {
    WEIR_TRY_ASSIGN(const auto ids, read_ids(fields, "ids"));
    std::string pooling = "mean";
    bool normalizes = true;
    WEIR_TRY(fields.read("pooling", pooling));
    WEIR_TRY(fields.read("normalize", normalizes));
    WEIR_TRY(fields.refuse_unknown());
    if (pooling != "mean" && pooling != "cls") {
        return invalid_argument("pooling", "pooling must be mean or cls");
    }
    std::vector<float> vector(encoder.hidden());
    WEIR_TRY(encoder.encode(ids, pooling == "cls" ? model::Pooling::First : model::Pooling::Mean,
                            vector));
    if (normalizes) {
        model::normalize(vector);
    }
    WEIR_TRY(check_numbers(vector));
    std::string out;
    json::Writer(out).begin_object().member("embedding", base64_of(vector)).end_object();
    return out;
}

}  // namespace

Result<void> tokenize(const ModelAccess& access, const std::string& model) {
    WEIR_TRY_ASSIGN(const auto source, access.open(model));
    WEIR_TRY_ASSIGN(const auto tokenizer, engine::load_tokenizer(*source));
    return answer_lines(std::cin, std::cout, [&](json::Fields& fields) -> Result<std::string> {
        WEIR_TRY_ASSIGN(const std::string text, fields.require_string("text"));
        text::EncodeOptions options;
        WEIR_TRY(fields.read("parse_special", options.parse_special));
        WEIR_TRY(fields.read("add_special", options.add_special));
        WEIR_TRY_ASSIGN(const auto ids, tokenizer.encode(text, options));
        return ids_json(ids);
    });
}

Result<void> detokenize(const ModelAccess& access, const std::string& model) {
    WEIR_TRY_ASSIGN(const auto source, access.open(model));
    WEIR_TRY_ASSIGN(const auto tokenizer, engine::load_tokenizer(*source));
    return answer_lines(std::cin, std::cout, [&](json::Fields& fields) -> Result<std::string> {
        WEIR_TRY_ASSIGN(const auto ids, read_ids(fields, "ids"));
        WEIR_TRY_ASSIGN(const std::string text, tokenizer.decode(ids));
        return text_json(text);
    });
}

Result<void> render_template(const ModelAccess& access, const std::string& file,
                             TemplateMode mode) {
    WEIR_TRY_ASSIGN(const std::string source, access.read_text(file, kTemplateBytesMax));
    const auto jinja_mode =
        mode == TemplateMode::Strict ? text::jinja::Mode::Strict : text::jinja::Mode::Lenient;
    WEIR_TRY_ASSIGN(const auto parsed, text::jinja::Template::parse(source, jinja_mode));
    return answer_lines(std::cin, std::cout,
                        [&](json::Fields& fields) { return template_line(parsed, fields); });
}

Result<void> logits(const ModelAccess& access, const std::string& model) {
    WEIR_TRY_ASSIGN(const OneSequence one, OneSequence::load(access, model));
    return answer_lines(std::cin, std::cout,
                        [&](json::Fields& fields) { return logits_line(one, fields); });
}

Result<void> embed(const ModelAccess& access, const std::string& model) {
    WEIR_TRY_ASSIGN(auto source, access.open(model));
    WEIR_TRY_ASSIGN(const auto device, engine::ComputeDevice::open(std::nullopt));
    WEIR_TRY_ASSIGN(const auto encoder, model::Encoder::load(std::move(source), device->compute()));
    return answer_lines(std::cin, std::cout,
                        [&](json::Fields& fields) { return embed_line(*encoder, fields); });
}

Result<void> generate(const ModelAccess& access, const std::string& model) {
    WEIR_TRY_ASSIGN(const OneSequence one, OneSequence::load(access, model));
    return answer_lines(std::cin, std::cout,
                        [&](json::Fields& fields) { return generate_line(one, fields); });
}

}  // namespace weir::cli
