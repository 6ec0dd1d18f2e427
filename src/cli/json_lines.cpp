#include "cli/json_lines.h"

#include <algorithm>
#include <istream>
#include <limits>
#include <ostream>

#include "json/parse.h"
#include "json/write.h"

namespace weir::cli {
namespace {

constexpr size_t kLineBytesMax = size_t{256} << 20;

Result<std::string> answer_line(const std::string& line, const LineAnswer& answer) {
    if (line.size() > kLineBytesMax) {
        return fail(ErrorCode::TooLarge, "a line has more than {} bytes", kLineBytesMax);
    }
    WEIR_TRY_ASSIGN(const json::Value value, json::parse(line));
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, ""));
    WEIR_TRY_ASSIGN(std::string text, answer(fields));
    WEIR_TRY(fields.refuse_unknown());
    return text;
}

}  // namespace

Result<void> answer_lines(std::istream& in, std::ostream& out, const LineAnswer& answer) {
    std::string line;
    uint64_t lines = 0;
    uint64_t failed = 0;
    while (std::getline(in, line)) {
        ++lines;
        Result<std::string> text = answer_line(line, answer);
        if (!text) {
            ++failed;
            std::string error;
            json::Writer(error).begin_object().member("error", text.error().message).end_object();
            text = std::move(error);
        }
        if (!(out << *text << '\n' << std::flush)) {
            return fail(ErrorCode::Unavailable, "the answers cannot be written");
        }
    }
    if (failed > 0) {
        return fail(ErrorCode::InvalidArgument, "{} of {} lines could not be answered", failed,
                    lines);
    }
    return {};
}

Result<std::vector<uint32_t>> read_ids(json::Fields& fields, std::string_view name) {
    WEIR_TRY_ASSIGN(const json::Array* array, fields.require_array(name));
    std::vector<uint32_t> ids;
    ids.reserve(array->size());
    for (const json::Value& item : *array) {
        const auto* number = std::get_if<int64_t>(&item.storage());
        if (number == nullptr || *number < 0 || *number > std::numeric_limits<uint32_t>::max()) {
            return invalid_argument(name, "{} must hold token ids", name);
        }
        ids.push_back(static_cast<uint32_t>(*number));
    }
    return ids;
}

std::string base64_of(std::span<const float> numbers) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto bytes = std::as_bytes(numbers);
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t count = std::min<size_t>(3, bytes.size() - i);
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; ++j) {
            bits = (bits << 8) | (j < count ? std::to_integer<uint32_t>(bytes[i + j]) : 0);
        }
        for (size_t j = 0; j < 4; ++j) {
            out.push_back(j <= count ? kDigits[(bits >> (18 - 6 * j)) & 63] : '=');
        }
    }
    return out;
}

}  // namespace weir::cli
