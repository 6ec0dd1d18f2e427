// Arithmetic, and what + * % mean for text and lists.

#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"

namespace weir::text::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

std::unexpected<Raised> unsupported_operands(Operator op, const Value& a, const Value& b) {
    if (a.is_undefined() || b.is_undefined()) {
        return undefined_error(a.is_undefined() ? a : b);
    }
    return raise("unsupported operand type(s) for {}: '{}' and '{}'",
                 kSymbols[static_cast<size_t>(op)], type_name(a), type_name(b));
}

std::unexpected<Raised> too_large() {
    return raise("integers of more than 127 bits are not supported");
}

Outcome<Value> integer_power(Whole base, Whole exponent) {
    if (exponent < 0) {
        if (base == 0) {
            return raise("0.0 cannot be raised to a negative power");
        }
        return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    }
    Whole result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
            return too_large();
        }
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
            return too_large();
        }
    }
    return Value::integer(result);
}

// Python rounds quotients down, and remainders take the divisor's sign.
Outcome<Value> integer_division(Operator op, Whole a, Whole b) {
    if (b == 0) {
        return raise("integer division or modulo by zero");
    }
    if (b == -1) {  // the one quotient that can overflow
        Whole negative = 0;
        if (op == Operator::Modulo) {
            return Value::integer(0);
        }
        return __builtin_sub_overflow(Whole{0}, a, &negative) ? Outcome<Value>(too_large())
                                                              : Value::integer(negative);
    }
    const bool down = a % b != 0 && (a < 0) != (b < 0);
    if (op == Operator::FloorDivide) {
        return Value::integer(a / b - (down ? 1 : 0));
    }
    return Value::integer(a % b + (down ? b : 0));
}

Outcome<Value> apply_integers(Operator op, Whole a, Whole b) {
    Whole result = 0;
    bool overflow = false;
    switch (op) {
        case Operator::Add:
            overflow = __builtin_add_overflow(a, b, &result);
            break;
        case Operator::Subtract:
            overflow = __builtin_sub_overflow(a, b, &result);
            break;
        case Operator::Multiply:
            overflow = __builtin_mul_overflow(a, b, &result);
            break;
        case Operator::Divide:
            if (b == 0) {
                return raise("division by zero");
            }
            return Value::real(static_cast<double>(a) / static_cast<double>(b));
        case Operator::FloorDivide:
        case Operator::Modulo:
            return integer_division(op, a, b);
        case Operator::Power:
            return integer_power(a, b);
    }
    return overflow ? Outcome<Value>(too_large()) : Value::integer(result);
}

Outcome<Value> apply_reals(Operator op, double a, double b) {
    switch (op) {
        case Operator::Add:
            return Value::real(a + b);
        case Operator::Subtract:
            return Value::real(a - b);
        case Operator::Multiply:
            return Value::real(a * b);
        case Operator::Power: {
            const double power = std::pow(a, b);
            if (std::isfinite(a) && std::isfinite(b) && !std::isfinite(power)) {
                return raise("the power is too large");
            }
            return Value::real(power);
        }
        default:
            break;
    }
    if (b == 0) {
        return raise("float division by zero");
    }
    if (op == Operator::Divide) {
        return Value::real(a / b);
    }
    double remainder = std::fmod(a, b);
    if (op == Operator::FloorDivide) {
        double quotient = (a - remainder) / b;
        if (remainder != 0 && (b < 0) != (remainder < 0)) {
            quotient -= 1;
        }
        return Value::real(quotient == 0 ? 0.0 : std::floor(quotient + 0.5));
    }
    if (remainder != 0 && (b < 0) != (remainder < 0)) {
        remainder += b;
    }
    return Value::real(remainder);
}

Outcome<Value> add_text(Runtime& rt, Value a, Value b) {
    const bool markup = a.str().markup || b.str().markup;
    if (markup) {  // markup never takes in text unescaped
        WEIR_TRY_ASSIGN(a, escape_html(rt, a));
        WEIR_TRY_ASSIGN(b, escape_html(rt, b));
    }
    WEIR_TRY(rt.charge_bytes(a.bytes().size() + b.bytes().size()));
    TextBuilder out(rt);
    out.append(a.text());
    out.append(b.text());
    return out.finish(markup);
}

Outcome<Value> add_lists(Runtime& rt, const Value& a, const Value& b) {
    const size_t count = a.items().size() + b.items().size();
    WEIR_TRY(rt.charge(1 + count / 16));
    WEIR_TRY(rt.reserve(count * sizeof(Value)));
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return a.is(Kind::List) ? rt.list(std::move(items)) : rt.tuple(std::move(items));
}

Outcome<Value> repeat(Runtime& rt, const Value& what, Whole times) {
    const auto count = static_cast<size_t>(std::clamp<Whole>(times, 0, Whole{1} << 40));
    if (what.is_str()) {
        const size_t bytes = what.bytes().size();
        if (bytes != 0 && count > rt.room() / bytes) {
            return raise_text(kTemplateLimit, "the template makes too much text");
        }
        WEIR_TRY(rt.charge_bytes(bytes * count));
        if (bytes == 0) {
            return what;
        }
        constexpr size_t kChunkBytes = 4096;  // many short pieces cost more than their bytes
        const size_t each = std::min(count, 1 + kChunkBytes / bytes);
        MarkedText chunk;
        for (size_t i = 0; i < each; ++i) {
            chunk.append(what.text());
        }
        TextBuilder out(rt);
        for (size_t left = count; left > 0; left -= std::min(left, each)) {
            out.append(chunk, 0, std::min(left, each) * bytes);
        }
        return out.finish(what.str().markup);
    }
    const size_t size = what.items().size();
    if (size != 0 && count > rt.room() / (size * sizeof(Value))) {
        return raise_text(kTemplateLimit, "the template uses too much memory");
    }
    WEIR_TRY(rt.charge(1 + size * count / 16));
    std::vector<Value> items;
    for (size_t i = 0; i < count && size != 0; ++i) {
        items.insert(items.end(), what.items().begin(), what.items().end());
    }
    return what.is(Kind::List) ? rt.list(std::move(items)) : rt.tuple(std::move(items));
}

bool is_repeatable(const Value& value) {
    return value.is_str() || value.is(Kind::List) || value.is(Kind::Tuple);
}

}  // namespace

Outcome<Value> apply(Runtime& rt, Operator op, const Value& a, const Value& b) {
    if (a.is_number() && b.is_number()) {
        return a.is_whole() && b.is_whole() ? apply_integers(op, a.as_int(), b.as_int())
                                            : apply_reals(op, a.as_real(), b.as_real());
    }
    if (op == Operator::Modulo && a.is_str()) {
        return format_percent(rt, a, b);
    }
    if (op == Operator::Add) {
        if (a.is_str() && b.is_str()) {
            return add_text(rt, a, b);
        }
        if (a.kind() == b.kind() && (a.is(Kind::List) || a.is(Kind::Tuple))) {
            return add_lists(rt, a, b);
        }
        if (a.is_str() && !b.is_undefined()) {
            return raise("can only concatenate str (not \"{}\") to str", type_name(b));
        }
    }
    if (op == Operator::Multiply && is_repeatable(a) && b.is_whole()) {
        return repeat(rt, a, b.as_int());
    }
    if (op == Operator::Multiply && is_repeatable(b) && a.is_whole()) {
        return repeat(rt, b, a.as_int());
    }
    return unsupported_operands(op, a, b);
}

Outcome<Value> negate(const Value& value) {
    if (value.is(Kind::Float)) {
        return Value::real(-value.as_real());
    }
    if (value.is_whole()) {
        return apply_integers(Operator::Subtract, 0, value.as_int());
    }
    return type_error("bad operand type for unary -", value);
}

Outcome<Value> plus(const Value& value) {
    if (value.is(Kind::Float)) {
        return value;
    }
    if (value.is_whole()) {
        return Value::integer(value.as_int());
    }
    return type_error("bad operand type for unary +", value);
}

}  // namespace weir::text::jinja
