#include "json/fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir::json {
namespace {

std::string_view article(std::string_view noun) {
    return noun.find_first_of("aeiou") == 0 ? "an" : "a";
}

}  // namespace

Result<Fields> Fields::of(const Value& value, std::string path) {
    if (const Object* object = value.if_object()) {
        return Fields(*object, std::move(path));
    }
    return invalid_argument(path, "{} must be an object, not {}",
                            path.empty() ? "the body" : std::string_view(path), value.kind());
}

std::string Fields::path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

const Value* Fields::get(std::string_view name) {
    asked_.push_back(name);
    const Value* value = object_.find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
}

std::unexpected<Error> Fields::wrong_type(std::string_view name, std::string_view wanted,
                                          const Value& found) const {
    return invalid_argument(path_of(name), "{} must be {} {}, not {}", path_of(name),
                            article(wanted), wanted, found.kind());
}

Result<void> Fields::read(std::string_view name, bool& out) {
    std::optional<bool> found;
    WEIR_TRY(read(name, found));
    out = found.value_or(out);
    return {};
}

Result<void> Fields::read(std::string_view name, std::string& out) {
    std::optional<std::string> found;
    WEIR_TRY(read(name, found));
    if (found) {
        out = *std::move(found);
    }
    return {};
}

Result<void> Fields::read(std::string_view name, std::optional<bool>& out) {
    const Value* value = get(name);
    if (value == nullptr) {
        return {};
    }
    const bool* flag = value->if_bool();
    if (flag == nullptr) {
        return wrong_type(name, "boolean", *value);
    }
    out = *flag;
    return {};
}

Result<void> Fields::read(std::string_view name, std::optional<std::string>& out) {
    const Value* value = get(name);
    if (value == nullptr) {
        return {};
    }
    const std::string* text = value->if_string();
    if (text == nullptr) {
        return wrong_type(name, "string", *value);
    }
    out = *text;
    return {};
}

Result<void> Fields::read(std::string_view name, Range<int64_t> range,
                          std::optional<int64_t>& out) {
    const Value* value = get(name);
    if (value == nullptr) {
        return {};
    }
    if (!value->is_number()) {
        return wrong_type(name, "integer", *value);
    }
    const auto outside = [&] {
        return invalid_argument(path_of(name), "{} must be between {} and {}", path_of(name),
                                range.min, range.max);
    };
    int64_t number = 0;
    if (const auto* whole = std::get_if<int64_t>(&value->storage())) {
        number = *whole;
    } else if (const auto* real = std::get_if<double>(&value->storage())) {
        if (*real != std::trunc(*real)) {
            return invalid_argument(path_of(name), "{} must be a whole number", path_of(name));
        }
        if (std::abs(*real) > 0x1.0p53) {
            return outside();
        }
        number = static_cast<int64_t>(*real);
    } else {
        return outside();  // above int64
    }
    if (number < range.min || number > range.max) {
        return outside();
    }
    out = number;
    return {};
}

Result<void> Fields::read(std::string_view name, Range<double> range, std::optional<double>& out) {
    const Value* value = get(name);
    if (value == nullptr) {
        return {};
    }
    double number = 0;
    if (const auto* whole = std::get_if<int64_t>(&value->storage())) {
        number = static_cast<double>(*whole);
    } else if (const auto* large = std::get_if<uint64_t>(&value->storage())) {
        number = static_cast<double>(*large);
    } else if (const auto* real = std::get_if<double>(&value->storage())) {
        number = *real;
    } else {
        return wrong_type(name, "number", *value);
    }
    if (!(number >= range.min && number <= range.max)) {
        return invalid_argument(path_of(name), "{} must be between {} and {}", path_of(name),
                                range.min, range.max);
    }
    out = number;
    return {};
}

Result<std::string> Fields::require_string(std::string_view name) {
    std::optional<std::string> found;
    WEIR_TRY(read(name, found));
    if (!found) {
        return invalid_argument(path_of(name), "{} is required", path_of(name));
    }
    return *std::move(found);
}

Result<const Array*> Fields::array(std::string_view name) {
    const Value* value = get(name);
    if (value == nullptr) {
        return nullptr;
    }
    if (value->if_array() == nullptr) {
        return wrong_type(name, "array", *value);
    }
    return value->if_array();
}

Result<const Array*> Fields::require_array(std::string_view name) {
    WEIR_TRY_ASSIGN(const Array* found, array(name));
    if (found == nullptr) {
        return invalid_argument(path_of(name), "{} is required", path_of(name));
    }
    return found;
}

Result<const Object*> Fields::object(std::string_view name) {
    const Value* value = get(name);
    if (value == nullptr) {
        return nullptr;
    }
    if (value->if_object() == nullptr) {
        return wrong_type(name, "object", *value);
    }
    return value->if_object();
}

bool Fields::asked(std::string_view name) const {
    return std::ranges::find(asked_, name) != asked_.end();
}

void Fields::ignore(std::initializer_list<std::string_view> names) {
    asked_.insert(asked_.end(), names);
}

Result<void> Fields::refuse_unknown() const {
    for (const auto& [name, value] : object_) {
        if (std::find(asked_.begin(), asked_.end(), name) == asked_.end()) {
            return invalid_argument(path_of(name), "unknown parameter: {}", path_of(name));
        }
    }
    return {};
}

}  // namespace weir::json
