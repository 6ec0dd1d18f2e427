#include "base/secret.h"

#include <string.h>  // explicit_bzero

#include <utility>

namespace weir {

Secret::Secret(std::string_view text)
    : bytes_(std::make_unique<char[]>(text.size())), size_(text.size()) {
    text.copy(bytes_.get(), size_);
}

Secret::Secret(Secret&& other) noexcept
    : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        wipe();
        bytes_ = std::move(other.bytes_);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

Secret::~Secret() {
    wipe();
}

// A memset before the memory is given back is one that a compiler may leave out.
void Secret::wipe() {
    if (bytes_ != nullptr) {
        ::explicit_bzero(bytes_.get(), size_);
    }
}

}  // namespace weir
