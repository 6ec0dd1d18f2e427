#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/event.h"
#include "chat/request.h"

namespace weir::api {

// One of the answers to a request, whole.
struct ChoiceReply {
    std::string text;
    std::string reasoning;
    std::string refusal;
    std::vector<chat::ToolCall> tool_calls;
    std::vector<chat::TokenLogprob> logprobs;
    std::optional<chat::FinishReason> finish;
};

struct Reply {
    chat::Started started;
    std::vector<ChoiceReply> choices;
    std::optional<chat::Usage> usage;
};

struct ReplyLimits {
    size_t bytes_max = size_t{64} << 20;  // all text of one answer
    uint32_t tool_calls_max = 128;        // of one choice
};

// Accumulates the events of an answer that is sent whole.
//
// Threads: one. Invariant: keeps at most bytes_max bytes of text, and as many choices as asked for.
class ReplyCollector {
  public:
    explicit ReplyCollector(uint32_t choice_count, ReplyLimits limits = {});

    // Fails with the event's error, if it is one; with Internal if the events break their contract
    // (an unknown choice, an end before every choice has ended); with TooLarge.
    Result<void> add(chat::ChatEvent event);

    // Finished has come, and all was well.
    bool complete() const { return complete_; }

    const Reply& reply() const { return reply_; }

  private:
    Result<ChoiceReply*> choice(uint32_t index, size_t more_bytes);

    Result<void> take(chat::Started& event);
    Result<void> take(chat::TextDelta& event);
    Result<void> take(chat::ReasoningDelta& event);
    Result<void> take(chat::RefusalDelta& event);
    Result<void> take(chat::ToolCallDelta& event);
    Result<void> take(chat::ChoiceFinished& event);
    Result<void> take(chat::Finished& event);
    Result<void> take(Error& event);

    ReplyLimits limits_;
    Reply reply_;
    size_t bytes_ = 0;
    bool complete_ = false;
};

}  // namespace weir::api
