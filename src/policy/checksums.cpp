// The check digits that tell an account number from any other number.

#include <algorithm>
#include <array>

#include "policy/ascii.h"
#include "policy/detectors.h"

namespace weir::policy {
namespace {

// How a country's account numbers are written, behind the country and the two check digits: so many
// digits (n), capital letters (a) or either (c). The SWIFT registry of ISO 13616.
struct IbanForm {
    std::string_view country;
    std::string_view form;
};
constexpr std::array kIbanForms = std::to_array<IbanForm>({
    {"AD", "8n12c"},    {"AE", "19n"},     {"AL", "8n16c"},    {"AT", "16n"},
    {"AZ", "4a20c"},    {"BA", "16n"},     {"BE", "12n"},      {"BG", "4a6n8c"},
    {"BH", "4a14c"},    {"BR", "23n1a1c"}, {"BY", "4c4n16c"},  {"CH", "5n12c"},
    {"CR", "18n"},      {"CY", "8n16c"},   {"CZ", "20n"},      {"DE", "18n"},
    {"DK", "14n"},      {"DO", "4c20n"},   {"EE", "16n"},      {"EG", "25n"},
    {"ES", "20n"},      {"FI", "14n"},     {"FO", "14n"},      {"FR", "10n11c2n"},
    {"GB", "4a14n"},    {"GE", "2a16n"},   {"GI", "4a15c"},    {"GL", "14n"},
    {"GR", "7n16c"},    {"GT", "4c20c"},   {"HR", "17n"},      {"HU", "24n"},
    {"IE", "4a14n"},    {"IL", "19n"},     {"IQ", "4a15n"},    {"IS", "22n"},
    {"IT", "1a10n12c"}, {"JO", "4a4n18c"}, {"KW", "4a22c"},    {"KZ", "3n13c"},
    {"LB", "4n20c"},    {"LC", "4a24c"},   {"LI", "5n12c"},    {"LT", "16n"},
    {"LU", "3n13c"},    {"LV", "4a13c"},   {"LY", "21n"},      {"MC", "10n11c2n"},
    {"MD", "2c18c"},    {"ME", "18n"},     {"MK", "3n10c2n"},  {"MR", "23n"},
    {"MT", "4a5n18c"},  {"MU", "4a19n3a"}, {"NL", "4a10n"},    {"NO", "11n"},
    {"PK", "4a16c"},    {"PL", "24n"},     {"PS", "4a21c"},    {"PT", "21n"},
    {"QA", "4a21c"},    {"RO", "4a16c"},   {"RS", "18n"},      {"RU", "14n15c"},
    {"SA", "2n18c"},    {"SC", "4a20n3a"}, {"SD", "14n"},      {"SE", "20n"},
    {"SI", "15n"},      {"SK", "20n"},     {"SM", "1a10n12c"}, {"ST", "21n"},
    {"SV", "4a20n"},    {"TL", "19n"},     {"TN", "20n"},      {"TR", "6n16c"},
    {"UA", "6n19c"},    {"VA", "18n"},     {"VG", "4a16n"},    {"XK", "16n"},
});

std::string_view form_of(std::string_view country) {
    const auto* found = std::ranges::find(kIbanForms, country, &IbanForm::country);
    return found == kIbanForms.end() ? std::string_view() : found->form;
}

// Calls `use` with the count and the kind of each part of a form.
template <typename Use>
void for_each_part(std::string_view form, Use use) {
    size_t count = 0;
    for (const char c : form) {
        if (is_digit(c)) {
            count = count * 10 + static_cast<size_t>(c - '0');
        } else {
            use(count, c);
            count = 0;
        }
    }
}

bool has_form(std::string_view account, std::string_view form) {
    bool holds = true;
    size_t at = 0;
    for_each_part(form, [&](size_t count, char kind) {
        for (const size_t end = at + count; at < end && holds; ++at) {
            const char c = account[at];
            holds = (is_digit(c) && kind != 'a') || (is_upper(c) && kind != 'n');
        }
    });
    return holds;
}

}  // namespace

size_t iban_characters(std::string_view country) {
    size_t characters = 0;
    for_each_part(form_of(country), [&](size_t count, char) { characters += count; });
    return characters == 0 ? 0 : characters + 4;
}

bool luhn_is_valid(std::string_view digits) {
    int sum = 0;
    bool doubled = false;
    for (size_t i = digits.size(); i-- > 0; doubled = !doubled) {
        int digit = digits[i] - '0';
        if (doubled) {
            digit *= 2;
            digit -= digit > 9 ? 9 : 0;
        }
        sum += digit;
    }
    return !digits.empty() && sum % 10 == 0;
}

bool iban_is_valid(std::string_view iban) {
    if (iban.size() < 4 || iban.size() != iban_characters(iban.substr(0, 2)) ||
        !has_form(iban.substr(4), form_of(iban.substr(0, 2)))) {
        return false;
    }
    uint32_t remainder = 0;
    for (size_t i = 0; i < iban.size(); ++i) {
        const char c = iban[(i + 4) % iban.size()];  // country and check digits come last
        if (c >= '0' && c <= '9') {
            remainder = (remainder * 10 + static_cast<uint32_t>(c - '0')) % 97;
        } else if (c >= 'A' && c <= 'Z') {
            remainder = (remainder * 100 + static_cast<uint32_t>(c - 'A') + 10) % 97;
        } else {
            return false;
        }
    }
    return remainder == 1;
}

// Verhoeff, "Error detecting decimal codes", 1969: products in the dihedral group of order ten,
// each digit first permuted by its place.
bool verhoeff_is_valid(std::string_view digits) {
    constexpr std::array<std::string_view, 10> kProduct = {
        "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
        "5987604321", "6598710432", "7659821043", "8765932104", "9876543210"};
    constexpr std::array<std::string_view, 8> kPermuted = {"0123456789", "1576283094", "5803796142",
                                                           "8916043527", "9453126870", "4286573901",
                                                           "2793806415", "7046913258"};
    size_t check = 0;
    for (size_t i = 0; i < digits.size(); ++i) {
        const auto digit = static_cast<size_t>(digits[digits.size() - 1 - i] - '0');
        const auto turned = static_cast<size_t>(kPermuted[i % 8][digit] - '0');
        check = static_cast<size_t>(kProduct[check][turned] - '0');
    }
    return !digits.empty() && check == 0;
}

bool cpf_is_valid(std::string_view digits) {
    if (digits.size() != 11 || digits.find_first_not_of(digits[0]) == std::string_view::npos) {
        return false;
    }
    for (const size_t place : {size_t{9}, size_t{10}}) {
        size_t sum = 0;
        for (size_t i = 0; i < place; ++i) {
            sum += static_cast<size_t>(digits[i] - '0') * (place + 1 - i);
        }
        if (sum * 10 % 11 % 10 != static_cast<size_t>(digits[place] - '0')) {
            return false;
        }
    }
    return true;
}

}  // namespace weir::policy
