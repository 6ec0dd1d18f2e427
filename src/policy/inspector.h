#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "chat/request.h"
#include "policy/detectors.h"

namespace weir::policy {

struct InspectorConfig {
    // A scan that takes longer labels the request restricted; zero means that none is in time.
    std::chrono::milliseconds scan_deadline{250};
    uint32_t unwrap_depth_max = 3;  // base64 in base64 in …
};

// What was concluded about a request, and why, without a word of its text.
struct Verdict {
    chat::Label label = chat::Label::Restricted;
    std::string reason;  // "nothing found", "found email, iban", "scan timed out", "key label", …
};

// What others say of the request; each can only raise the label.
struct StatedLabels {
    std::optional<chat::Label> key;
    std::optional<chat::Label> header;
    std::optional<chat::Label> route;
};

// Reads every string of a request and labels it. Nothing found means internal; a finding, a scan
// that fails or is too slow, or a part that cannot be looked into (images, audio, files, token
// ids) means restricted. The label is the highest of the scan's and the stated ones.
//
// Threads: any; immutable.
class Inspector {
  public:
    explicit Inspector(InspectorConfig config = {}, const Clock& clock = system_clock());

    // Stamps the request; from here on it is const.
    std::shared_ptr<const chat::ChatRequest> inspect(chat::ChatRequest request,
                                                     const StatedLabels& stated,
                                                     Verdict& verdict) const;

  private:
    Verdict scan(const chat::ChatRequest& request) const;

    InspectorConfig config_;
    const Clock& clock_;
};

}  // namespace weir::policy
