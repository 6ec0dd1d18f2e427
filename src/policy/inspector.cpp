#include "policy/inspector.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/failpoint.h"
#include "policy/fingerprint.h"
#include "policy/fold.h"
#include "policy/numbers.h"
#include "policy/strings_of.h"
#include "policy/unwrap.h"

namespace weir::policy {
namespace {

// Long texts are looked at in windows, so that the time is looked at between them, and nothing that
// is made of one (folded, turned round, unwrapped) is larger than a few of them. What one window
// cuts, the overlap shows whole to the next.
constexpr size_t kWindowBytes = size_t{64} << 10;
constexpr size_t kOverlapBytes = size_t{2} << 10;

// What else a text may be asked for.
enum class Speaker : uint8_t { One, Several };

// Scans texts and what is coded inside them, until the deadline.
class Scan {
  public:
    Scan(const InspectorConfig& config, const Clock& clock)
        : clock_(clock),
          deadline_(clock.now() + config.scan_deadline),
          depth_max_(config.unwrap_depth_max) {}

    void look_at(std::string_view text, Speaker speaker) { look_through({.text = text}, speaker); }

    void look_at_number(std::string_view digits) {
        if (is_card_number(digits)) {
            found_.add(Finding::PaymentCard);
        }
    }

    bool in_time() const { return clock_.now() < deadline_; }
    bool failed() const { return failed_; }
    const FindingSet& found() const { return found_; }

  private:
    // How a text came about: so many codings were undone, so often its escapes or its layout.
    struct Depth {
        uint32_t codings = 0;
        uint32_t layers = 0;
    };
    struct Layer {
        std::string_view text;
        Depth depth;
    };
    struct Inside {
        std::string text;
        Depth depth;
    };

    void look_through(const Layer& layer, Speaker speaker) {
        const std::string_view text = layer.text;
        size_t begin = 0;
        while (begin < text.size() && !failed_ && in_time()) {
            const size_t end = std::min(begin + kWindowBytes, text.size());
            look_at_window(text.substr(begin, end - begin), layer.depth, speaker);
            look_inside();
            if (end == text.size()) {
                return;
            }
            begin = end - kOverlapBytes;
            for (int i = 0; i < 3 && is_inside_character(text[begin]); ++i) {
                ++begin;
            }
        }
    }

    // What a window held is opened before the next is looked at, unless something was found: one
    // finding is enough.
    void look_inside() {
        std::unordered_set<std::string> seen;
        while (!inside_.empty() && !found_.has_more_than(Finding::Unreadable) && !failed_ &&
               in_time()) {
            const Inside next = std::move(inside_.back());
            inside_.pop_back();
            if (seen.insert(next.text).second) {
                look_at_window(next.text, next.depth, Speaker::Several);
            }
        }
        inside_.clear();
    }

    static bool is_inside_character(char c) {
        return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    }

    void look_at_window(std::string_view text, const Depth& depth, Speaker speaker) {
        const Result<std::string> folded = fold(text);
        if (!folded) {
            failed_ = true;
            return;
        }
        const Numbers numbers = numbers_of(*folded);
        detect_all(*folded, numbers, found_);
        if (speaker == Speaker::One) {
            detect_scattered_card(*folded, numbers, found_);
        }
        keep(unhide(text), depth);
        keep(unwrap(*folded), depth);
    }

    void keep(Unwrapped inside, const Depth& depth) {
        const bool deepest = depth.codings == depth_max_;
        if (inside.unreadable || (inside.coded && deepest)) {
            found_.add(Finding::Unreadable);
        }
        for (std::string& text : inside.texts) {
            if (!deepest) {
                inside_.push_back({std::move(text), {depth.codings + 1, depth.layers}});
            }
        }
        for (std::string& text : inside.plain) {
            if (depth.layers < depth_max_) {
                inside_.push_back({std::move(text), {depth.codings, depth.layers + 1}});
            }
        }
    }

    const Clock& clock_;
    Clock::TimePoint deadline_;
    uint32_t depth_max_;
    FindingSet found_;
    std::vector<Inside> inside_;  // decoded, and not yet looked at
    bool failed_ = false;
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
    const RequestPieces pieces = pieces_of(request);
    if (pieces.uninspectable) {
        return {chat::Label::Restricted, "a part cannot be inspected"};
    }
    Scan scan(config_, clock_);
    for (const std::string_view text : pieces.texts) {
        scan.look_at(text, Speaker::One);
    }
    for (const std::string& number : pieces.numbers) {
        scan.look_at_number(number);
    }
    for (const std::string& list : pieces.lists) {
        scan.look_at(list, Speaker::One);
    }
    const Seams seams = seams_of(request, pieces);
    scan.look_at(seams.all, Speaker::Several);
    for (const std::string& seam : seams.by_role) {
        scan.look_at(seam, Speaker::One);
    }
    if (scan.failed()) {
        return {chat::Label::Restricted, "scan failed"};
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
    request.inspection = chat::InspectionStamp(verdict.label, fingerprint_of(request));
    return std::make_shared<const chat::ChatRequest>(std::move(request));
}

}  // namespace weir::policy
