// Any bytes can be looked at, what is opened of them is no more than they could hold, and nobody
// passes the gate with more than the verdict allows.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "policy/fold.h"
#include "policy/gate.h"
#include "policy/inspector.h"
#include "policy/unwrap.h"

namespace {

using namespace weir;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
    const std::string_view text(reinterpret_cast<const char*>(data), count);
    const auto folded = policy::fold(text);
    require(folded.has_value());
    const policy::Unwrapped inside = policy::unwrap(*folded);
    constexpr size_t kWaysToRead = 16;
    size_t bytes = 0;
    for (const auto* texts : {&inside.texts, &inside.plain}) {
        for (const std::string& opened : *texts) {
            bytes += opened.size();
        }
    }
    require(bytes <= kWaysToRead * (folded->size() + 1));

    chat::ChatRequest request;
    request.input = chat::Conversation{.messages = {{.content = {{.text = std::string(text)}}}}};
    policy::Verdict verdict;
    const auto inspected = policy::Inspector({.scan_deadline = std::chrono::seconds(60)})
                               .inspect(std::move(request), {}, verdict);
    const auto permit = policy::Gate::permit(*inspected, {"d", "https://a:443"});
    require(permit.has_value() == (verdict.label <= chat::Label::Internal));
    return 0;
}
