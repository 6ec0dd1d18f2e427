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

    // Whole numbers up to 2^32 - 1. Where the format allows one number a layer, all must be equal:
    // families whose layers differ ask for sizes.
    Result<std::optional<uint32_t>> size(std::string_view name);
    Result<uint32_t> require_size(std::string_view name);
    // One number a layer: an array of so many, or one for all. Nothing: the key is not there.
    Result<std::optional<std::vector<uint32_t>>> sizes(std::string_view name, uint32_t layers);
    // The same for flags.
    Result<std::optional<std::vector<bool>>> flags(std::string_view name, uint32_t layers);
    bool is_array(std::string_view name) const;

    // Sets the layers' visibility for a family in which every n-th layer sees everything and the
    // others a window (0: none has one). attention.sliding_window_pattern is n, or a flag a layer;
    // where it is not there, n = `pattern`. n = 0: all layers have the window.
    Result<void> read_window_pattern(uint32_t window, uint32_t pattern, TransformerConfig& out);
    Result<std::optional<double>> number(std::string_view name);
    Result<std::optional<std::string_view>> text(std::string_view name);
    Result<std::optional<bool>> flag(std::string_view name);

    // Marks keys as known and without effect on the results.
    void ignore(std::string_view name) { asked_.push_back(key(name)); }

    // Unsupported, naming the key, if nobody has asked for it and it is there with a value other
    // than zero or false.
    Result<void> refuse_unless_zero(std::string_view name);

    bool has_key(std::string_view name) const { return file_.find(key(name)) != nullptr; }
    // Whether a tensor of this name is in the file: what no key says.
    bool has_tensor(std::string_view name) const;

    // Unsupported, naming the first key of the architecture that nobody asked for.
    Result<void> refuse_unknown() const;

  private:
    const GgufFile& file_;
    std::string prefix_;
    std::vector<std::string> asked_;
};

}  // namespace weir::model
