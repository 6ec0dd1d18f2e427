#include "engine/testing/conversation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "engine/engine.h"
#include "engine/testing/recording_sink.h"

namespace weir::engine::testing {
namespace {

constexpr int kStepsMax = 100'000;
using Tokens = std::vector<TokenId>;

// Counts the tokens that are computed.
class CountingModel final : public model::Model {
  public:
    explicit CountingModel(model::Model& model) : model_(model) {}
    const model::ModelInfo& info() const override { return model_.info(); }
    const kv::StateSpec& state_spec() const override { return model_.state_spec(); }
    uint32_t batch_tokens_max() const override { return model_.batch_tokens_max(); }
    Result<void> forward(std::span<const model::SequenceSlice> batch,
                         std::span<float> logits) override {
        for (const model::SequenceSlice& slice : batch) {
            computed += slice.tokens.size();
        }
        return model_.forward(batch, logits);
    }
    uint64_t computed = 0;

  private:
    model::Model& model_;
};

struct Answer {
    Tokens tokens;
    std::vector<std::vector<float>> logits;
    uint64_t cached = 0;    // as its usage says
    uint64_t computed = 0;  // as the model has seen
};

bool same_logits(const Answer& a, const Answer& b) {
    return std::ranges::equal(a.logits, b.logits, [](const auto& x, const auto& y) {
        return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * 4) == 0;
    });
}

uint64_t tight_blocks(const kv::StateSpec& spec, const ConversationOptions& options,
                      uint32_t batch_tokens_max) {
    // Of the length that is to be expected, and a little.
    const uint32_t tokens =
        options.first_prompt_tokens +
        options.turns * (options.question_tokens_max + options.answer_tokens_max) / 2 +
        4 * spec.block_tokens;
    uint32_t window = 0;
    for (const kv::AttentionGroup& group : spec.groups) {
        window = std::max(window, group.window_tokens.value_or(0));
    }
    return kv::worst_case_blocks(spec, tokens, window + batch_tokens_max);
}

class Scene {
  public:
    static Result<Scene> make(model::Model& model, uint32_t conversations,
                              const ConversationOptions& options) {
        const kv::StateSpec& spec = model.state_spec();
        EngineConfig config;
        config.sequences_max = 2;
        config.prompt_logit_rows = 0;
        config.checkpoint_tokens = 8 * spec.block_tokens;
        // Twice what one conversation leaves behind, for each. Of the recurrent state: at the end
        // of a prompt, one block earlier, and at the end of its answer.
        uint64_t blocks =
            (2 * model.info().context_tokens / spec.block_tokens + 8) * spec.groups.size();
        if (options.tight) {
            config.batch_tokens_max = 2 * spec.block_tokens;
            blocks = tight_blocks(spec, options, config.batch_tokens_max);
        }
        config.recurrent_slots = conversations * 3 * 2 + config.sequences_max;
        config.kv_bytes = conversations * blocks * kv::pool_block_bytes(spec) +
                          config.recurrent_slots * (spec.recurrent_bytes + 64);
        auto counting = std::make_unique<CountingModel>(model);
        auto registry = std::make_unique<metrics::Registry>();
        WEIR_TRY_ASSIGN(auto engine, Engine::create(*counting, config, system_clock(), *registry));
        return Scene(std::move(counting), std::move(registry), std::move(engine));
    }

    Result<Answer> ask(const Tokens& prompt, uint32_t answer_tokens, uint64_t seed) {
        Generation generation;
        generation.prompts = {prompt};
        generation.sampling.tokens_max = answer_tokens;
        generation.sampling.temperature = 0.8f;
        generation.sampling.ignore_eos = true;
        generation.seed = seed;
        const uint64_t before = model_->computed;
        const auto sink = std::make_shared<RecordingSink>(1);
        WEIR_TRY(engine_->submit(std::move(generation), sink, {}));
        for (int step = 0; step < kStepsMax && engine_->step(); ++step) {
        }
        if (sink->error()) {
            return std::unexpected(*sink->error());
        }
        if (!sink->is_over()) {
            return weir::fail(ErrorCode::DeadlineExceeded, "no answer after {} steps", kStepsMax);
        }
        const auto& choice = sink->choices()[0];
        return Answer{.tokens = choice.tokens,
                      .logits = choice.logits,
                      .cached = sink->usage()->cached_tokens,
                      .computed = model_->computed - before};
    }

  private:
    Scene(std::unique_ptr<CountingModel> model, std::unique_ptr<metrics::Registry> registry,
          std::unique_ptr<Engine> engine)
        : model_(std::move(model)), registry_(std::move(registry)), engine_(std::move(engine)) {}

    std::unique_ptr<CountingModel> model_;
    std::unique_ptr<metrics::Registry> registry_;
    std::unique_ptr<Engine> engine_;
};

// What is said in one conversation, and how much of it the engine has computed.
struct Conversation {
    Tokens said;
    size_t prompt = 0;    // of it, the last turn's prompt
    size_t computed = 0;  // of it, from the beginning
};

class Script {
  public:
    Script(const ConversationOptions& options, uint32_t vocabulary)
        : options_(options), vocabulary_(vocabulary), random_(options.seed) {}

    // The next turn's prompt, and how many of its tokens are new.
    uint32_t next_prompt(Conversation& conversation) {
        if (conversation.said.empty()) {
            return add(conversation, options_.first_prompt_tokens);
        }
        if (options_.rewritten_tokens_max > 0) {
            const size_t back =
                std::min<size_t>(draw(options_.rewritten_tokens_max + 1), conversation.prompt - 1);
            // Whatever comes instead differs at once.
            const TokenId other = (conversation.said[conversation.prompt - back] + 1) % vocabulary_;
            conversation.said.resize(conversation.prompt - back);
            conversation.said.push_back(other);
            conversation.computed = conversation.prompt - back;
            return 1 + add(conversation, draw(options_.question_tokens_max));
        }
        const auto not_computed =
            static_cast<uint32_t>(conversation.said.size() - conversation.computed);
        return not_computed + add(conversation, 1 + draw(options_.question_tokens_max));
    }

    void record(Conversation& conversation, const Answer& answer) {
        conversation.prompt = conversation.said.size();
        conversation.said.insert(conversation.said.end(), answer.tokens.begin(),
                                 answer.tokens.end());
        conversation.computed = conversation.said.size() - 1;  // the last was only said
    }

    uint32_t answer_tokens() { return 1 + draw(options_.answer_tokens_max); }
    uint64_t seed() { return random_(); }

  private:
    uint32_t draw(uint32_t below) { return static_cast<uint32_t>(random_() % below); }
    uint32_t add(Conversation& conversation, uint32_t count) {
        for (uint32_t i = 0; i < count; ++i) {
            conversation.said.push_back(draw(vocabulary_));
        }
        return count;
    }

    const ConversationOptions options_;
    const uint32_t vocabulary_;
    std::mt19937_64 random_;
};

std::optional<std::string> wrong_with(const Answer& warm, const Answer& cold, size_t prompt,
                                      uint32_t added, uint32_t block) {
    if (warm.tokens != cold.tokens || !same_logits(warm, cold)) {
        return "its answer is not the cold run's";
    }
    const uint64_t read = warm.computed - (warm.tokens.size() - 1);  // the rest is its answer
    if (read > uint64_t{added} + block) {
        return fmt::format("it computed {} tokens of its prompt of {}, of which {} are new", read,
                           prompt, added);
    }
    if (warm.cached + read != prompt) {
        return fmt::format("its usage says {} cached tokens; it computed {} of {}", warm.cached,
                           read, prompt);
    }
    return std::nullopt;
}

}  // namespace

Result<std::optional<std::string>> first_turn_that_forgets(model::Model& model,
                                                           const ConversationOptions& options) {
    Script script(options, model.info().vocabulary);
    const uint32_t block = model.state_spec().block_tokens;
    WEIR_TRY_ASSIGN(Scene warm, Scene::make(model, 1 + options.beside, options));
    std::vector<Conversation> all(1 + options.beside);
    for (uint32_t turn = 0; turn < options.turns; ++turn) {
        for (Conversation& one : all) {
            const uint32_t added = script.next_prompt(one);
            const uint32_t answer_tokens = script.answer_tokens();
            const uint64_t seed = script.seed();
            WEIR_TRY_ASSIGN(const Answer answer, warm.ask(one.said, answer_tokens, seed));
            WEIR_TRY_ASSIGN(Scene cold, Scene::make(model, 1, options));
            WEIR_TRY_ASSIGN(const Answer expected, cold.ask(one.said, answer_tokens, seed));
            if (const auto wrong = wrong_with(answer, expected, one.said.size(), added, block)) {
                return fmt::format("turn {}: {}", turn + 1, *wrong);
            }
            script.record(one, answer);
        }
    }
    return std::nullopt;
}

}  // namespace weir::engine::testing
