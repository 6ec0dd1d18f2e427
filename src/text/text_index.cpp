#include "text/text_index.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace weir::text {
namespace {

constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;
constexpr size_t kShortBytesMax = 15;

uint64_t load8(const char* bytes) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof(word));
    return word;
}

uint64_t load4(const char* bytes) {
    uint32_t word = 0;
    std::memcpy(&word, bytes, sizeof(word));
    return word;
}

// Up to 7 bytes as one number, by overlapping loads and no loop.
uint64_t load_up_to_7(const char* bytes, size_t count) {
    if (count >= 4) {
        return load4(bytes) | load4(bytes + count - 4) << (8 * (count - 4));
    }
    if (count == 0) {
        return 0;
    }
    const auto at = [bytes](size_t i) {
        return uint64_t{static_cast<unsigned char>(bytes[i])};
    };
    return at(0) | at(count / 2) << (8 * (count / 2)) | at(count - 1) << (8 * (count - 1));
}

// A multiplicative hash over 8 bytes at a time. Texts come from a vocabulary, which is bounded and
// read once, and from looking texts up in it; a chosen collision costs its author a longer probe in
// his own request, so a keyed hash is not needed.
uint64_t hash_of_long(std::string_view text) {
    uint64_t hash = text.size() * kMultiplier;
    const auto mix = [&](uint64_t word) {
        hash = (hash ^ word) * kMultiplier;
        hash ^= hash >> 29;
    };
    for (size_t at = 0; at + 8 < text.size(); at += 8) {
        mix(load8(text.data() + at));
    }
    mix(load8(text.data() + text.size() - 8));
    return hash;
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

TextIndex::Key TextIndex::key_of(std::string_view text) {
    const size_t size = text.size();
    if (size > kShortBytesMax) {
        return {hash_of_long(text), uint64_t{0xFF} << 56};
    }
    const uint64_t length = uint64_t{size} << 56;
    if (size < 8) {
        return {load_up_to_7(text.data(), size), length};
    }
    return {load8(text.data()), load_up_to_7(text.data() + 8, size - 8) | length};
}

size_t TextIndex::hash_of(const Key& key) {
    const uint64_t mixed = (key.low ^ (key.high * kMultiplier)) * kMultiplier;
    return static_cast<size_t>((mixed ^ (mixed >> 32)) * kMultiplier >> 24);
}

size_t TextIndex::slot_of(std::string_view text, const Key& key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash_of(key) & mask;
    while (slots_[at].entry != kNone &&
           !(slots_[at].key == key &&
             (!is_long(key) || text_of(entries_[slots_[at].entry]) == text))) {
        at = (at + 1) & mask;
    }
    return at;
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

bool TextIndex::insert(std::string_view text, uint32_t value) {
    grow(slots_for(entries_.size() + 1));
    const Key key = key_of(text);
    Slot& slot = slots_[slot_of(text, key)];
    if (slot.entry != kNone) {
        return false;
    }
    slot = {key, static_cast<uint32_t>(entries_.size()), value};
    entries_.push_back({arena_.size(), static_cast<uint32_t>(text.size()), value});
    arena_.insert(arena_.end(), text.begin(), text.end());
    return true;
}

uint32_t TextIndex::find(std::string_view text) const {
    if (slots_.empty()) {
        return kNone;
    }
    return slots_[slot_of(text, key_of(text))].value;  // an empty slot's is kNone
}

}  // namespace weir::text
