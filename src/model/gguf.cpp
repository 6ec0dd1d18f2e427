#include "model/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "model/gguf_parse.h"
#include "model/gguf_values.h"

namespace weir::model {

namespace {

constexpr uint32_t kPartsMax = 999;

// "NAME-00002-of-00005.gguf" taken apart.
struct SplitName {
    std::string prefix;
    uint32_t number = 1;  // from 1
    uint32_t count = 1;
};

std::optional<SplitName> split_name(std::string_view file_name) {
    constexpr std::string_view kPattern = "-00001-of-00005.gguf";
    if (file_name.size() <= kPattern.size()) {
        return std::nullopt;
    }
    const std::string_view tail = file_name.substr(file_name.size() - kPattern.size());
    SplitName split{.prefix = std::string(file_name.substr(0, file_name.size() - kPattern.size()))};
    const auto five_digits = [](std::string_view text, uint32_t& out) {
        return std::from_chars(text.data(), text.data() + 5, out).ptr == text.data() + 5;
    };
    const bool matches = tail[0] == '-' && five_digits(tail.substr(1), split.number) &&
                         tail.substr(6, 4) == "-of-" && five_digits(tail.substr(10), split.count) &&
                         tail.substr(15) == ".gguf";
    if (!matches || split.number == 0 || split.number > split.count) {
        return std::nullopt;
    }
    return split;
}

Result<std::vector<std::filesystem::path>> part_paths(const std::filesystem::path& path) {
    const auto split = split_name(path.filename().string());
    if (!split) {
        return std::vector{path};
    }
    if (split->count > kPartsMax) {
        return unsupported("{} parts; {} are read", split->count, kPartsMax);
    }
    std::vector<std::filesystem::path> paths;
    for (uint32_t number = 1; number <= split->count; ++number) {
        paths.push_back(path.parent_path() /
                        fmt::format("{}-{:05}-of-{:05}.gguf", split->prefix, number, split->count));
    }
    return paths;
}

// What a part says about its place; an unsplit file says nothing.
Result<void> check_part(std::span<const GgufEntry> entries, uint64_t number, uint64_t parts) {
    const auto value = [&](std::string_view key, uint64_t absent) -> Result<uint64_t> {
        const GgufEntry* entry = find_entry(entries, key);
        if (entry == nullptr) {
            return absent;
        }
        const auto found = whole_number(*entry, entry->type, 0);
        if (!found) {
            return wrong_type(*entry, "a whole number");
        }
        return *found;
    };
    WEIR_TRY_ASSIGN(const uint64_t count, value("split.count", 1));
    WEIR_TRY_ASSIGN(const uint64_t own_number, value("split.no", 0));
    if (count != parts && !(count == 0 && parts == 1)) {
        return data_corrupt("key split.count: {}, but the file's name says {} parts", count, parts);
    }
    if (own_number != number) {
        return data_corrupt("key split.no: {}, but the file's name says {}", own_number, number);
    }
    return {};
}

}  // namespace

Result<GgufFile> GgufFile::join(std::vector<GgufPart> parts, std::vector<MappedFile> mappings) {
    GgufFile file;
    file.mappings_ = std::move(mappings);
    file.entries_ = std::move(parts.front().entries);  // the first part carries the metadata
    for (const GgufPart& part : parts) {
        file.tensors_.insert(file.tensors_.end(), part.tensors.begin(), part.tensors.end());
    }
    WEIR_TRY(sort_unique(file.tensors_, &GgufTensor::name, "tensor"));
    return file;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes) {
    std::vector<GgufPart> parts;
    WEIR_TRY_ASSIGN(parts.emplace_back(), parse_gguf_part(bytes));
    WEIR_TRY_ASSIGN(GgufFile file, join(std::move(parts), {}));
    WEIR_TRY_ASSIGN(const auto split, file.find_unsigned("split.count"));
    if (split.value_or(1) > 1) {
        return unsupported("this is one of {} parts; open it as a file, beside the others", *split);
    }
    return file;
}

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
    WEIR_TRY_ASSIGN(const auto paths, part_paths(path));
    std::vector<MappedFile> mappings;
    std::vector<GgufPart> parts;
    for (size_t i = 0; i < paths.size(); ++i) {
        WEIR_TRY_ASSIGN(MappedFile mapping, MappedFile::open(paths[i]));
        mappings.push_back(std::move(mapping));
        auto part = parse_gguf_part(mappings.back().bytes());
        const auto checked = part ? check_part(part->entries, i, paths.size())
                                  : std::unexpected(std::move(part).error());
        if (!checked) {
            return std::unexpected(
                Error(checked.error()).with_context(paths[i].filename().string()));
        }
        parts.push_back(*std::move(part));
    }
    WEIR_TRY_ASSIGN(GgufFile file, join(std::move(parts), std::move(mappings)));
    WEIR_TRY_ASSIGN(const auto total, file.find_unsigned("split.tensors.count"));
    if (total && *total != file.tensors_.size() && paths.size() > 1) {
        return data_corrupt("key split.tensors.count: {}, but the parts have {} tensors", *total,
                            file.tensors_.size());
    }
    return file;
}

const GgufEntry* GgufFile::find(std::string_view key) const {
    return find_entry(entries_, key);
}

const GgufTensor* GgufFile::find_tensor(std::string_view tensor_name) const {
    const auto at = std::ranges::lower_bound(tensors_, tensor_name, {}, &GgufTensor::name);
    return at != tensors_.end() && at->name == tensor_name ? &*at : nullptr;
}

}  // namespace weir::model
