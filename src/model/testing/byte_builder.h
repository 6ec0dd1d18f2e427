#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace weir::model::testing {

// Bytes written one after the other, little-endian: files of all formats, and broken ones.
class ByteBuilder {
  public:
    template <typename T>
        requires std::is_arithmetic_v<T>
    ByteBuilder& put(T value) {
        const size_t at = bytes_.size();
        bytes_.resize(at + sizeof(T));
        std::memcpy(bytes_.data() + at, &value, sizeof(T));
        return *this;
    }

    ByteBuilder& put_bytes(std::span<const std::byte> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return *this;
    }

    ByteBuilder& put_raw(std::string_view text) {
        return put_bytes(std::as_bytes(std::span(text.data(), text.size())));
    }

    // GGUF's string: u64 length, then the text.
    ByteBuilder& put_text(std::string_view text) {
        return put<uint64_t>(text.size()).put_raw(text);
    }

    ByteBuilder& pad_to_multiple(size_t alignment) {
        bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
        return *this;
    }

    size_t size() const { return bytes_.size(); }
    const std::vector<std::byte>& bytes() const { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

}  // namespace weir::model::testing
