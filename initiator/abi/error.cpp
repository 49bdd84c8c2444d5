// SPDX-License-Identifier: GPL-2.0-or-later
// The C ABI of errors: their words, and which of them end an attempt.
#include "abi/error.h"

extern "C" const char* hawser_error_words(uint32_t error) {
    switch (error) {
#define HAWSER_ERROR_CASE(name, number, words) \
    case number:                               \
        return words;
        HAWSER_ERRORS(HAWSER_ERROR_CASE)
#undef HAWSER_ERROR_CASE
    }
    return "unknown error";
}

// RFC 7143 11.13.5: after Status-Class 2 the request should not be tried again; after 3 and 1 it
// may. What went wrong on the way (TCP, timeouts, a peer's mistakes) may go right the next time;
// an authentication does not, and each further attempt at one is an attack to whoever counts them.
extern "C" bool hawser_error_is_final(uint32_t error) {
    switch (error) {
        case HAWSER_ERROR_LOGIN_INITIATOR_ERROR:
        case HAWSER_ERROR_LOGIN_AUTHENTICATION_FAILED:
        case HAWSER_ERROR_LOGIN_FORBIDDEN:
        case HAWSER_ERROR_LOGIN_TARGET_NOT_FOUND:
        case HAWSER_ERROR_LOGIN_TARGET_REMOVED:
        case HAWSER_ERROR_LOGIN_UNSUPPORTED_VERSION:
        case HAWSER_ERROR_LOGIN_TOO_MANY_CONNECTIONS:
        case HAWSER_ERROR_LOGIN_MISSING_PARAMETER:
        case HAWSER_ERROR_LOGIN_CANNOT_INCLUDE:
        case HAWSER_ERROR_LOGIN_SESSION_TYPE:
        case HAWSER_ERROR_LOGIN_SESSION_DOES_NOT_EXIST:
        case HAWSER_ERROR_LOGIN_INVALID_DURING_LOGIN:
        case HAWSER_ERROR_LOGIN_DIGEST_REFUSED:
        case HAWSER_ERROR_LOGIN_AUTHENTICATION_REQUIRED:
        case HAWSER_ERROR_CHAP_REFUSED:
        case HAWSER_ERROR_CHAP_ALGORITHM:
        case HAWSER_ERROR_CHAP_IDENTIFIER:
        case HAWSER_ERROR_CHAP_CHALLENGE:
        case HAWSER_ERROR_CHAP_NAME:
        case HAWSER_ERROR_CHAP_RESPONSE:
        case HAWSER_ERROR_CHAP_REFLECTION:
        case HAWSER_ERROR_CHAP_TARGET_FAILED:
        case HAWSER_ERROR_CHAP_NO_SECRET:
        case HAWSER_ERROR_BAD_OPTION:
            return true;
        default:
            return false;
    }
}
