#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "chat/event.h"
#include "json/fields.h"
#include "providers/openai/error_decoder.h"
#include "providers/openai/usage.h"

namespace weir::providers {

// What an answer must look like to be one to our question.
struct AnswerExpectation {
    bool completion = false;  // text_completion, else chat
    uint32_t choices = 1;
    UsageBounds usage;
    ErrorSource source = ErrorSource::Provider;
    std::string call_id_prefix = "call_";  // for tool calls that the peer gave no id
};

// Turns the JSON of an answer, whole or in chunks, into events.
//
// Members that it does not know pass. Errors: UpstreamFailed with the reason "upstream_malformed"
// or "upstream_truncated"; or what the answer's own error says. After an error it is of no use.
// Threads: one.
class AnswerDecoder {
  public:
    using Events = std::vector<chat::ChatEvent>;

    explicit AnswerDecoder(AnswerExpectation expected);

    void bound_prompt(uint64_t tokens_max) { expected_.usage.prompt_tokens_max = tokens_max; }

    Result<Events> chunk(const json::Value& chunk);
    // The mark of the stream's end: each choice must have said why it ended.
    Result<Events> end() const;
    Result<Events> whole(const json::Value& body);

    // A usage came that could not be true, and was dropped.
    bool usage_was_suspect() const { return usage_was_suspect_; }

  private:
    struct CallState {
        uint32_t peer_index = 0;
        std::string id;
        // Given with its first event, which has id and name: calls are told in the order of their
        // names, whatever the peer counts.
        std::optional<uint32_t> index;
    };
    struct ChoiceState {
        bool finished = false;
        std::vector<CallState> calls;
    };

    Result<void> begin(json::Fields& fields, Events& events);
    Result<void> read_choices(json::Fields& fields, std::string_view pieces_member, Events& events);
    Result<void> read_choice(json::Fields& choice, std::string_view pieces_member, Events& events);
    Result<void> read_text_choice(json::Fields& choice, uint32_t index, Events& events);
    Result<void> read_pieces(json::Fields& choice, json::Fields& pieces, uint32_t index,
                             Events& events);
    Result<void> read_tool_calls(json::Fields& pieces, uint32_t index, Events& events);
    Result<void> read_tool_call(json::Fields& call, uint32_t index, Events& events);
    Result<CallState*> call_state(json::Fields& call, ChoiceState& choice, std::string_view id,
                                  std::string_view name);
    Result<void> read_finish(json::Fields& choice, uint32_t index, Events& events);
    void take_usage(json::Fields& fields);

    AnswerExpectation expected_;
    std::vector<ChoiceState> choices_;
    std::optional<chat::Usage> usage_;
    bool started_ = false;
    bool usage_was_suspect_ = false;
};

}  // namespace weir::providers
