#include "policy/inspector.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <vector>

#include "base/failpoint.h"
#include "policy/fold.h"
#include "policy/strings_of.h"
#include "policy/unwrap.h"

namespace weir::policy {
namespace {

// Scans text and what is coded inside it, until the deadline.
class Scan {
  public:
    Scan(const InspectorConfig& config, const Clock& clock)
        : clock_(clock),
          deadline_(clock.now() + config.scan_deadline),
          depth_max_(config.unwrap_depth_max) {}

    void look_at(std::string_view text) { look_at(text, 0); }

    bool in_time() const { return clock_.now() < deadline_; }
    const FindingSet& found() const { return found_; }

  private:
    // Recursion is bounded by depth_max_.
    void look_at(std::string_view text, uint32_t depth) {
        if (text.empty() || !in_time()) {
            return;
        }
        const std::string folded = fold(text);
        detect_all(folded, found_);
        detect_lettered(rot13(folded), found_);
        if (depth == depth_max_) {
            return;
        }
        look_inside(unhide(text), depth);
        look_inside(unwrap(folded), depth);
    }

    void look_inside(const Unwrapped& inside, uint32_t depth) {
        if (inside.unreadable) {
            found_.add(Finding::Unreadable);
        }
        for (const std::string& decoded : inside.texts) {
            look_at(decoded, depth + 1);
        }
    }

    const Clock& clock_;
    Clock::TimePoint deadline_;
    uint32_t depth_max_;
    FindingSet found_;
};

std::string list_of(const FindingSet& found) {
    std::string out;
    for (const Finding finding :
         {Finding::Email, Finding::PaymentCard, Finding::Iban, Finding::Phone, Finding::NationalId,
          Finding::Secret, Finding::Unreadable}) {
        if (found.has(finding)) {
            out += out.empty() ? "found " : ", ";
            out += name(finding);
        }
    }
    return out;
}

void raise(Verdict& verdict, std::optional<chat::Label> stated, std::string_view by) {
    if (stated && *stated > verdict.label) {
        verdict.label = *stated;
        verdict.reason = std::string(by) + " label";
    }
}

}  // namespace

Inspector::Inspector(InspectorConfig config, const Clock& clock) : config_(config), clock_(clock) {}

Verdict Inspector::scan(const chat::ChatRequest& request) const {
    if (WEIR_FAILPOINT("policy.detector")) {
        return {chat::Label::Restricted, "scan failed"};
    }
    const RequestStrings strings = strings_of(request);
    if (strings.uninspectable) {
        return {chat::Label::Restricted, "a part cannot be inspected"};
    }
    Scan scan(config_, clock_);
    for (const std::string_view text : strings.pieces) {
        scan.look_at(text);
    }
    // What is split over parts, messages or turns shows when they are put together.
    scan.look_at(strings.joined);
    for (const std::string& seam : strings.seams) {
        scan.look_at(seam);
    }
    if (!scan.in_time()) {
        return {chat::Label::Restricted, "scan timed out"};
    }
    if (!scan.found().empty()) {
        return {chat::Label::Restricted, list_of(scan.found())};
    }
    return {chat::Label::Internal, "nothing found"};
}

std::shared_ptr<const chat::ChatRequest> Inspector::inspect(chat::ChatRequest request,
                                                            const StatedLabels& stated,
                                                            Verdict& verdict) const {
    try {
        verdict = scan(request);
    } catch (const std::exception&) {  // ICU, RE2 or memory: what could not be read is sensitive
        verdict = {chat::Label::Restricted, "scan failed"};
    }
    raise(verdict, stated.key, "key");
    raise(verdict, stated.header, "header");
    raise(verdict, stated.route, "route");
    request.inspection = chat::InspectionStamp(verdict.label);
    return std::make_shared<const chat::ChatRequest>(std::move(request));
}

}  // namespace weir::policy
