#include "policy/detectors.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"
#include "policy/ascii.h"

namespace weir::policy {
namespace {

constexpr std::array<char, 256> kRotated = [] {
    std::array<char, 256> out{};
    for (size_t i = 0; i < out.size(); ++i) {
        out[i] = rotated(static_cast<char>(i));
    }
    return out;
}();

// What is looked for where letters were changed for others: the rest is found as it stands, for an
// address in rot13 is still an address.
void detect_lettered(std::string_view folded, const Numbers& numbers, FindingSet& found) {
    detect_iban(folded, numbers, found);
    detect_national_id(folded, numbers, found);
}

}  // namespace

std::string_view name(Finding finding) {
    switch (finding) {
        case Finding::Email:
            return "email";
        case Finding::PaymentCard:
            return "payment_card";
        case Finding::Iban:
            return "iban";
        case Finding::Phone:
            return "phone";
        case Finding::NationalId:
            return "national_id";
        case Finding::Secret:
            return "secret";
        case Finding::Unreadable:
            return "unreadable";
    }
    WEIR_ASSERT(false);
}

void detect_all(std::string_view folded, const Numbers& numbers, FindingSet& found) {
    detect_email(folded, found);
    detect_secret(folded, found);
    detect_payment_card(numbers, found);
    detect_phone(folded, numbers, found);
    detect_lettered(folded, numbers, found);
    constexpr size_t kDigitsMin = 8;  // of what letters turned round could still hide
    if (numbers.digits.size() < kDigitsMin) {
        return;
    }
    std::string turned(folded);
    std::ranges::transform(turned, turned.begin(),
                           [](char c) { return kRotated[static_cast<unsigned char>(c)]; });
    detect_lettered(turned, numbers, found);  // the digits stand where they stood
    turned.assign(folded.rbegin(), folded.rend());
    detect_iban(turned, numbers_of(turned), found);
}

}  // namespace weir::policy
