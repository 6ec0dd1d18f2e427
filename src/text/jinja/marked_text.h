#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::text::jinja {

// Where a character comes from: the template's own source (or a value that the caller vouches
// for), or anything else. Only the former may become a control token.
enum class Trust : uint8_t { Data, Template };

// Text in which every byte knows where it comes from.
//
// Invariant: flips_ is strictly increasing, inside (0, size()); trust changes at each of them.
// Threads: a value.
class MarkedText {
  public:
    MarkedText() = default;
    MarkedText(std::string bytes, Trust trust) : bytes_(std::move(bytes)), first_(trust) {}

    const std::string& bytes() const { return bytes_; }
    size_t size() const { return bytes_.size(); }
    bool empty() const { return bytes_.empty(); }
    size_t runs() const { return empty() ? 0 : flips_.size() + 1; }
    size_t mark_bytes() const { return flips_.size() * sizeof(size_t); }  // beside the text's own

    Trust trust_at(size_t byte) const;
    void append(std::string_view bytes, Trust trust);
    void append(const MarkedText& other) { append(other, 0, other.size()); }
    void append(const MarkedText& other, size_t from, size_t to);  // `other` is not *this
    MarkedText slice(size_t from, size_t to) const;

    // visit(std::string_view, Trust) for each maximal run of [from, to), in order.
    template <typename Visit>
    void for_each_run(size_t from, size_t to, Visit visit) const {
        Trust trust = trust_at(from);
        for (size_t next = first_flip_after(from); from < to; ++next) {
            const size_t end = next < flips_.size() && flips_[next] < to ? flips_[next] : to;
            visit(std::string_view(bytes_).substr(from, end - from), trust);
            trust = opposite(trust);
            from = end;
        }
    }

  private:
    static Trust opposite(Trust trust) {
        return trust == Trust::Data ? Trust::Template : Trust::Data;
    }
    size_t first_flip_after(size_t byte) const;  // index into flips_ of the first one > byte

    std::string bytes_;
    std::vector<size_t> flips_;
    Trust first_ = Trust::Data;
};

}  // namespace weir::text::jinja
