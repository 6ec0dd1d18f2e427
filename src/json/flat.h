#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/large_vector.h"

namespace weir::json {

// A value whose parts stand side by side in the order in which they were written, where a Value
// would allocate each on its own: for what a file has hundreds of thousands of, such as the tokens
// and merges of a tokenizer. To be walked, not searched.
//
// Ownership: borrows the text that it was read from.
class Flat {
  public:
    enum class Kind : uint8_t { Null, Bool, Whole, Large, Real, String, List, Members };

  private:
    struct Part {
        uint64_t value = 0;   // a string's offset; a container's size
        uint32_t extent = 0;  // a string's bytes; how many parts behind it are in a container
        Kind kind = Kind::Null;
        bool borrowed = false;
    };

  public:
    // One value in it; valid as long as the Flat.
    class View {
      public:
        View(const Flat& flat, size_t at) : flat_(&flat), at_(at) {}

        Kind kind() const { return part().kind; }
        std::optional<std::string_view> if_string() const {
            return part().kind == Kind::String ? std::optional(flat_->text_of(part()))
                                               : std::nullopt;
        }
        std::optional<int64_t> if_whole() const {
            return part().kind == Kind::Whole ? std::optional(static_cast<int64_t>(part().value))
                                              : std::nullopt;
        }
        std::optional<double> if_number() const;  // of any kind
        // The name of Value::kind.
        std::string_view kind_name() const;

        // The values of an array; keys and values of an object, in turns. Of others none.
        class Iterator {
          public:
            Iterator(const Flat& flat, size_t at) : flat_(&flat), at_(at) {}
            View operator*() const { return {*flat_, at_}; }
            Iterator& operator++() {
                at_ = flat_->behind(at_);
                return *this;
            }
            friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

          private:
            const Flat* flat_;
            size_t at_;
        };
        Iterator begin() const { return {*flat_, at_ + 1}; }
        Iterator end() const { return {*flat_, flat_->behind(at_)}; }
        // How many values begin() to end() has.
        size_t size() const { return is_container(kind()) ? part().value : 0; }

      private:
        const Part& part() const { return flat_->parts_[at_]; }
        const Flat* flat_;
        size_t at_;
    };

    // Nothing was there to be read.
    bool empty() const { return parts_.empty(); }
    View root() const { return {*this, 0}; }

    // ---- Building, by the parser ----

    explicit Flat(std::string_view source = {}) : source_(source) {}
    void add(Kind kind, uint64_t value) { parts_.push_back({.value = value, .kind = kind}); }
    // Borrowed where it lies in the source, else copied.
    void add_string(std::string_view text);
    // Everything up to close(open()'s result, …) is in the container. `size` counts keys, too.
    size_t open(Kind kind);
    void close(size_t opened, size_t size);
    // Whether two keys of the closed object are the same.
    bool has_key_twice(size_t opened) const;

  private:
    static bool is_container(Kind kind) { return kind >= Kind::List; }
    size_t behind(size_t at) const {
        return at + 1 + (is_container(parts_[at].kind) ? parts_[at].extent : 0);
    }
    std::string_view text_of(const Part& part) const {
        const std::string_view all = part.borrowed ? source_ : std::string_view(own_);
        return all.substr(part.value, part.extent);
    }

    std::string_view source_;
    std::string own_;  // strings that are written with escapes
    LargeVector<Part> parts_;
};

}  // namespace weir::json
