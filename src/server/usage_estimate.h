#pragma once

#include "chat/event.h"
#include "chat/request.h"

namespace weir::server {

// Counts what an answer used, for backends that do not say, or broke off before they could. Four
// bytes are taken for a token, which is about right for prose and low for anything else; an event
// of a stream is at least one.
//
// Threads: one.
class UsageEstimate {
  public:
    void saw(const chat::ChatEvent& event);
    // Of an answer to `request`, as far as it was seen.
    chat::Usage usage(const chat::ChatRequest& request) const;

  private:
    uint64_t deltas_ = 0;
    uint64_t answer_bytes_ = 0;
};

}  // namespace weir::server
