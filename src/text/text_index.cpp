#include "text/text_index.h"

#include <algorithm>
#include <bit>

namespace weir::text {
namespace {

constexpr size_t kSlotsMin = 16;

// Half full at most.
size_t slots_for(size_t entries) {
    return std::max(kSlotsMin, std::bit_ceil(entries * 2));
}

}  // namespace

void TextIndex::reserve(size_t texts, size_t bytes) {
    entries_.reserve(texts);
    arena_.reserve(bytes);
    grow(slots_for(texts));
}

// A multiplicative hash over 8 bytes at a time. Texts come from a vocabulary, which is bounded and
// read once, and from looking texts up in it; a chosen collision costs its author a longer probe in
// his own request, so a keyed hash is not needed.
TextIndex::Key TextIndex::key_of_long(std::string_view text) {
    uint64_t hash = text.size() * kMultiplier;
    const auto mix = [&](uint64_t word) {
        hash = (hash ^ word) * kMultiplier;
        hash ^= hash >> 29;
    };
    for (size_t at = 0; at + 8 < text.size(); at += 8) {
        mix(load<uint64_t>(text.data() + at));
    }
    mix(load<uint64_t>(text.data() + text.size() - 8));
    return {hash, uint64_t{0xFF} << 56};
}

void TextIndex::grow(size_t slots) {
    if (slots <= slots_.size()) {
        return;
    }
    slots_.assign(slots, Slot{});
    for (size_t index = 0; index < entries_.size(); ++index) {
        const std::string_view text = text_of(entries_[index]);
        const Key key = key_of(text);
        slots_[slot_of(text, key)] = {key, static_cast<uint32_t>(index), entries_[index].value};
    }
}

bool TextIndex::insert(std::string_view text, const Key& key, uint32_t value) {
    grow(slots_for(entries_.size() + 1));
    Slot& slot = slots_[slot_of(text, key)];
    if (slot.entry != kNone) {
        return false;
    }
    slot = {key, static_cast<uint32_t>(entries_.size()), value};
    entries_.push_back({arena_.size(), static_cast<uint32_t>(text.size()), value});
    arena_.insert(arena_.end(), text.begin(), text.end());
    return true;
}

}  // namespace weir::text
