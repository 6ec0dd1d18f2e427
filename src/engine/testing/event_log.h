#pragma once

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "chat/backend.h"

namespace weir::engine::testing {

// Events as lines that can be compared: "started", "0 hello", "0 hello [he -1 ll -1]", "0 stop",
// "finished 5+2", "error invalid_argument". What a cache found is left out.
inline std::string described(const chat::ChatEvent& event) {
    if (const auto* const delta = std::get_if<chat::TextDelta>(&event)) {
        std::string line = fmt::format("{} {}", delta->choice, delta->text);
        if (!delta->logprobs.empty()) {
            line += " [";
            for (const chat::TokenLogprob& token : delta->logprobs) {
                line += fmt::format("{}{} {:.6g}", line.back() == '[' ? "" : " ", token.bytes,
                                    token.logprob);
                for (const chat::TopLogprob& top : token.top) {
                    line += fmt::format(" ({} {:.6g})", top.bytes, top.logprob);
                }
            }
            line += "]";
        }
        return line;
    }
    if (const auto* const thought = std::get_if<chat::ReasoningDelta>(&event)) {
        return fmt::format("{} thinks {}", thought->choice, thought->text);
    }
    if (const auto* const call = std::get_if<chat::ToolCallDelta>(&event)) {
        return call->name.empty()
                   ? fmt::format("{} with {}", call->choice, call->arguments)
                   : fmt::format("{} calls {} {}", call->choice, call->name, call->id);
    }
    if (const auto* const over = std::get_if<chat::ChoiceFinished>(&event)) {
        return fmt::format("{} {}", over->choice, chat::name(over->reason));
    }
    if (const auto* const finished = std::get_if<chat::Finished>(&event)) {
        return fmt::format("finished {}+{}", finished->usage->prompt_tokens,
                           finished->usage->completion_tokens);
    }
    if (const auto* const error = std::get_if<Error>(&event)) {
        return fmt::format("error {}", name(error->code));
    }
    return std::holds_alternative<chat::Started>(event) ? "started" : "something else";
}

// Keeps the events of one answer. Threads: any; wait() returns when the last one is there.
class EventLog final : public chat::ChatSink {
  public:
    void on_event(chat::ChatEvent event) override {
        const std::scoped_lock lock(mutex_);
        lines_.push_back(described(event));
        if (const auto* const error = std::get_if<Error>(&event)) {
            error_ = *error;
        }
        is_over_ = is_over_ || chat::is_last(event);
        over_.notify_all();
    }

    void wait() {
        std::unique_lock lock(mutex_);
        over_.wait(lock, [&] { return is_over_; });
    }
    std::vector<std::string> lines() const {
        const std::scoped_lock lock(mutex_);
        return lines_;
    }
    std::optional<Error> error() const {
        const std::scoped_lock lock(mutex_);
        return error_;
    }

  private:
    mutable std::mutex mutex_;
    std::condition_variable over_;
    std::vector<std::string> lines_;  // these are guarded by mutex_
    std::optional<Error> error_;
    bool is_over_ = false;
};

}  // namespace weir::engine::testing
