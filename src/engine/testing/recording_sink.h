#pragma once

#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "engine/generation.h"

namespace weir::engine::testing {

// Keeps everything that an engine says about one generation. For one thread.
class RecordingSink final : public GenerationSink {
  public:
    explicit RecordingSink(uint32_t choices) : choices_(choices) {}

    struct Choice {
        std::vector<TokenId> tokens;
        std::vector<SampledToken> sampled;
        std::vector<std::vector<float>> logits;  // of every sampled position
        std::optional<chat::FinishReason> reason;
    };

    void on_started() override { ++started_; }
    void on_prompt_logprobs(uint32_t, std::vector<TokenLogprobs> logprobs) override {
        prompt_logprobs_.push_back(std::move(logprobs));
    }
    Result<Verdict> on_token(uint32_t choice, const SampledToken& token) override {
        if (fail_after && choices_.at(choice).tokens.size() >= *fail_after) {
            return weir::fail(ErrorCode::Internal, "the sink cannot go on");
        }
        if (throw_after && choices_.at(choice).tokens.size() >= *throw_after) {
            throw std::bad_alloc();
        }
        choices_.at(choice).tokens.push_back(token.token);
        choices_.at(choice).sampled.push_back(token);
        return stop_after && choices_.at(choice).tokens.size() >= *stop_after ? Verdict::Stop
                                                                              : Verdict::Continue;
    }
    void on_choice_finished(uint32_t choice, chat::FinishReason reason) override {
        choices_.at(choice).reason = reason;
    }
    void on_finished(const chat::Usage& usage) override {
        if (throw_at_end) {
            throw std::bad_alloc();
        }
        usage_ = usage;
    }
    void on_failed(const Error& error) override {
        error_ = error;
        ++failures;
    }
    void on_logits(uint32_t choice, uint32_t, std::span<const float> logits) override {
        choices_.at(choice).logits.emplace_back(logits.begin(), logits.end());
    }

    bool is_over() const { return usage_ || error_; }
    bool has_started() const { return started_ > 0; }
    const std::vector<Choice>& choices() const { return choices_; }
    const std::optional<chat::Usage>& usage() const { return usage_; }
    const std::optional<Error>& error() const { return error_; }
    const std::vector<std::vector<TokenLogprobs>>& prompt_logprobs() const {
        return prompt_logprobs_;
    }

    std::optional<size_t> stop_after;  // tokens of a choice
    std::optional<size_t> fail_after;
    std::optional<size_t> throw_after;
    bool throw_at_end = false;
    int failures = 0;

  private:
    std::vector<Choice> choices_;
    std::vector<std::vector<TokenLogprobs>> prompt_logprobs_;
    int started_ = 0;
    std::optional<chat::Usage> usage_;
    std::optional<Error> error_;
};

}  // namespace weir::engine::testing
