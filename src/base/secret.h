#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace weir {

// A text that must not be shown, such as a provider's key. Logs, errors, JSON and formats take what
// can be compared, printed or converted, and this can be none of it: to give it away by accident
// does not compile. `reveal` is its only way out, to be called where the secret goes on the wire
// and nowhere else.
//
// Ownership: one holder, so moved and never copied; its memory is wiped when it goes. Not here: the
// bytes of a request that carries it, and the environment that it came from.
class Secret {
  public:
    Secret() = default;
    explicit Secret(std::string_view text);
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    ~Secret();

    bool empty() const { return size_ == 0; }
    std::string_view reveal() const { return {bytes_.get(), size_}; }  // lives as long as this

  private:
    void wipe();

    std::unique_ptr<char[]> bytes_;  // not a string, whose short texts stay behind in a move
    size_t size_ = 0;
};

}  // namespace weir
