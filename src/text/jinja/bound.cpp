#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"

namespace weir::text::jinja {

Outcome<Bound> Bound::bind(std::string_view function, const Args& args,
                           std::initializer_list<std::string_view> parameters, size_t required) {
    if (args.positional.size() > parameters.size()) {
        return raise("{}() takes at most {} arguments, {} given", function, parameters.size(),
                     args.positional.size());
    }
    Bound bound;
    bound.function_ = function;
    bound.values_.resize(parameters.size());
    std::copy(args.positional.begin(), args.positional.end(), bound.values_.begin());
    for (const auto& [name, value] : args.named) {
        const auto found = std::find(parameters.begin(), parameters.end(), name);
        if (found == parameters.end()) {
            return raise("{}() got an unexpected keyword argument '{}'", function, name);
        }
        auto& place = bound.values_[static_cast<size_t>(found - parameters.begin())];
        if (place) {
            return raise("{}() got multiple values for argument '{}'", function, name);
        }
        place = value;
    }
    for (size_t i = 0; i < required; ++i) {
        if (!bound.values_[i]) {
            return raise("{}() misses the argument '{}'", function, parameters.begin()[i]);
        }
    }
    return bound;
}

bool Bound::flag(size_t i, bool otherwise) const {
    return values_[i] ? truthy(*values_[i]) : otherwise;
}

Outcome<Whole> Bound::integer(size_t i, Whole otherwise) const {
    if (!values_[i]) {
        return otherwise;
    }
    WEIR_TRY_ASSIGN(const Whole value, to_index(*values_[i]));
    constexpr Whole kLargest = Whole{1} << 62;  // so that callers can add and negate
    return std::clamp(value, -kLargest, kLargest);
}

Outcome<Value> Bound::str(Runtime& rt, size_t i, std::string_view otherwise) const {
    if (!values_[i]) {
        return rt.text(std::string(otherwise));
    }
    return values_[i]->is_str() ? Outcome<Value>(*values_[i])
                                : type_error("a string is required", *values_[i]);
}

}  // namespace weir::text::jinja
