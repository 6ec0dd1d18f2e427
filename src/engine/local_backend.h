#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "chat/backend.h"
#include "engine/engine.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace weir::engine {

struct LocalBackendConfig {
    std::string model_name;                // as answers call it
    std::string system_fingerprint;        // empty: none
    uint32_t preparing_max = 256;          // requests whose prompts are being made; then 503
    uint32_t prompts_max = 128;            // in one request of RawPrompts
    uint32_t choices_max = kChoicesMax;    // prompts * best_of, together
    std::vector<TokenId> end_tokens = {};  // end an answer, beside the tokenizer's own
};

// The local engine as a chat backend: renders the template, tokenizes, and turns the engine's
// tokens into chat events.
//
// The events of an answer are a function of the request (with its seed) alone, order included: each
// token makes the events that are certain after it, and the choices of one request take turns, one
// event each. Somebody who has seen the first n events can therefore have the request answered
// again and drop n. (Only Usage.cached_tokens says what the cache did this time.)
//
// What a model says is read as its chat template writes it (text::OutputFormat): thoughts become
// ReasoningDelta, and where the request has tools, calls become ToolCallDelta and the choice ends
// with ToolCalls. With tool_choice none the template does not see the tools, and nothing is read as
// a call.
//
// Refused by name: `tools` if the template knows none, and what only a grammar could keep
// (tool_choice required or a function, strict, parallel_tool_calls false, `response_format` other
// than text); message parts that are not text, more than limits allow, text that the context cannot
// hold (before it is tokenized).
//
// Threads: start() may be called from any; it returns at once. Prompts are made on one thread of
// its own, events come from there or from the engine's. Ownership: borrows the engine, which
// outlives it.
class LocalBackend final : public chat::ChatBackend {
  public:
    // `chat_template` may be null: then only RawPrompts are answered.
    LocalBackend(Engine& engine, std::shared_ptr<const text::Tokenizer> tokenizer,
                 std::shared_ptr<const text::ChatTemplate> chat_template, LocalBackendConfig config,
                 const Clock& clock);
    LocalBackend(const LocalBackend&) = delete;
    LocalBackend& operator=(const LocalBackend&) = delete;
    ~LocalBackend() override;  // what is being prepared ends with Unavailable

    void start(std::shared_ptr<const chat::ChatRequest> request,
               std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel) override;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::engine
