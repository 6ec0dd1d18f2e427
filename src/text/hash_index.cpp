#include "text/hash_index.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace weir::text {
namespace {

// A multiplicative hash over 8 bytes at a time. Keys come from a vocabulary, which is bounded and
// read once, and from looking texts up in it; a chosen collision costs its author a longer probe in
// his own request, so a keyed hash is not needed.
uint64_t hash_of(std::string_view text) {
    constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;
    uint64_t hash = text.size() * kMultiplier;
    size_t at = 0;
    const auto mix = [&](uint64_t word) {
        hash = (hash ^ word) * kMultiplier;
        hash ^= hash >> 29;
    };
    for (; at + 8 <= text.size(); at += 8) {
        uint64_t word = 0;
        std::memcpy(&word, text.data() + at, 8);
        mix(word);
    }
    uint64_t rest = 0;
    for (size_t shift = 0; at < text.size(); ++at, shift += 8) {
        rest |= uint64_t{static_cast<unsigned char>(text[at])} << shift;
    }
    mix(rest);
    return hash;
}

uint32_t tag_of(uint64_t hash) {
    return static_cast<uint32_t>(hash >> 32);
}

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

void TextIndex::grow(size_t slots) {
    if (slots <= slots_.size()) {
        return;
    }
    slots_.assign(slots, Slot{});
    for (size_t index = 0; index < entries_.size(); ++index) {
        const uint64_t hash = hash_of(text_of(entries_[index]));
        size_t at = hash & (slots - 1);
        while (slots_[at].entry != kNone) {
            at = (at + 1) & (slots - 1);
        }
        slots_[at] = {tag_of(hash), static_cast<uint32_t>(index)};
    }
}

bool TextIndex::insert(std::string_view text, uint32_t value) {
    if (find(text) != kNone) {
        return false;
    }
    entries_.push_back({arena_.size(), static_cast<uint32_t>(text.size()), value});
    arena_.insert(arena_.end(), text.begin(), text.end());
    if (slots_for(entries_.size()) > slots_.size()) {
        grow(slots_for(entries_.size()));
        return true;
    }
    const uint64_t hash = hash_of(text);
    size_t at = hash & (slots_.size() - 1);
    while (slots_[at].entry != kNone) {
        at = (at + 1) & (slots_.size() - 1);
    }
    slots_[at] = {tag_of(hash), static_cast<uint32_t>(entries_.size() - 1)};
    return true;
}

uint32_t TextIndex::find(std::string_view text) const {
    if (slots_.empty()) {
        return kNone;
    }
    const uint64_t hash = hash_of(text);
    const uint32_t tag = tag_of(hash);
    for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
        const Slot& slot = slots_[at];
        if (slot.entry == kNone) {
            return kNone;
        }
        if (slot.tag == tag && text_of(entries_[slot.entry]) == text) {
            return entries_[slot.entry].value;
        }
    }
}

void MergeTable::reserve(size_t merges) {
    grow(slots_for(merges));
}

void MergeTable::grow(size_t slots) {
    if (slots <= slots_.size()) {
        return;
    }
    const std::vector<Slot> before = std::exchange(slots_, std::vector<Slot>(slots));
    mask_ = slots - 1;
    for (const Slot& slot : before) {
        if (slot.key == kEmpty) {
            continue;
        }
        size_t at = slot_of(slot.key);
        while (slots_[at].key != kEmpty) {
            at = (at + 1) & mask_;
        }
        slots_[at] = slot;
    }
}

void MergeTable::insert(uint32_t left, uint32_t right, Merge merge) {
    grow(slots_for(used_ + 1));
    const uint64_t key = key_of(left, right);
    size_t at = slot_of(key);
    while (slots_[at].key != kEmpty && slots_[at].key != key) {
        at = (at + 1) & mask_;
    }
    if (slots_[at].key == kEmpty) {
        slots_[at] = {key, merge};
        ++used_;
    } else if (merge.rank < slots_[at].merge.rank) {
        slots_[at].merge = merge;
    }
}

}  // namespace weir::text
