#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/model.h"

namespace weir::engine::testing {

struct ConversationOptions {
    uint32_t seed = 1;
    uint32_t turns = 10;
    uint32_t first_prompt_tokens = 40;
    uint32_t question_tokens_max = 30;
    uint32_t answer_tokens_max = 25;
    // Every turn takes up to so many tokens of the last prompt's end back, with the answer behind
    // them, as templates do that leave reasoning out of the history; 0: it only adds.
    uint32_t rewritten_tokens_max = 0;
    uint32_t beside = 0;  // other conversations that go on between its turns
    // Window groups have room for two windows a conversation, behind its prompt and behind its
    // answer, and not for all that these have passed.
    bool tight = false;
};

// A conversation whose turns follow each other in one engine over `model`: each prompt is what was
// said so far and something new. Expects of every turn
//   that it computes no more than its new tokens and one block, counted by the model;
//   that its usage says what it took from the cache;
//   that its tokens and its logits are those of an engine that has never seen any of it, to the
//   bit.
// Returns the first turn of which this is not true, in words. Errors: what was refused.
Result<std::optional<std::string>> first_turn_that_forgets(model::Model& model,
                                                           const ConversationOptions& options);

}  // namespace weir::engine::testing
