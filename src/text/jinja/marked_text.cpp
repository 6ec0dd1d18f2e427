#include "text/jinja/marked_text.h"

#include <algorithm>

namespace weir::text::jinja {

size_t MarkedText::first_flip_after(size_t byte) const {
    return static_cast<size_t>(std::upper_bound(flips_.begin(), flips_.end(), byte) -
                               flips_.begin());
}

Trust MarkedText::trust_at(size_t byte) const {
    return first_flip_after(byte) % 2 == 0 ? first_ : opposite(first_);
}

void MarkedText::append(std::string_view bytes, Trust trust) {
    if (bytes.empty()) {
        return;
    }
    if (bytes_.empty()) {
        first_ = trust;
        flips_.clear();
    } else if (const Trust last = flips_.size() % 2 == 0 ? first_ : opposite(first_);
               last != trust) {
        flips_.push_back(bytes_.size());
    }
    bytes_.append(bytes);
}

void MarkedText::append(const MarkedText& other, size_t from, size_t to) {
    other.for_each_run(from, to, [this](std::string_view run, Trust trust) { append(run, trust); });
}

MarkedText MarkedText::slice(size_t from, size_t to) const {
    MarkedText out;
    out.append(*this, from, to);
    return out;
}

}  // namespace weir::text::jinja
