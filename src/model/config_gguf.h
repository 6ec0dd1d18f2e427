#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/config.h"
#include "model/gguf.h"

namespace weir::model {

// Reads the keys of one architecture ("ARCH.name") and remembers which were asked for, so that what
// nobody knows can be refused by name.
class GgufConfig {
  public:
    GgufConfig(const GgufFile& file, std::string_view architecture);

    const GgufFile& file() const { return file_; }
    std::string key(std::string_view name) const;

    // Whole numbers up to 2^32 - 1. Where the format allows one number a layer, all must be equal.
    Result<std::optional<uint32_t>> size(std::string_view name);
    Result<uint32_t> require_size(std::string_view name);
    Result<std::optional<double>> number(std::string_view name);
    Result<std::optional<std::string_view>> text(std::string_view name);
    Result<std::optional<bool>> flag(std::string_view name);

    // Marks keys as known and without effect on the results.
    void ignore(std::string_view name) { asked_.push_back(key(name)); }

    // Unsupported, naming the key, if it is there with a value other than zero or false.
    Result<void> refuse_unless_zero(std::string_view name);

    // Unsupported, naming the first key of the architecture that nobody asked for.
    Result<void> refuse_unknown() const;

  private:
    const GgufFile& file_;
    std::string prefix_;
    std::vector<std::string> asked_;
};

}  // namespace weir::model
