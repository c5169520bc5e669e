/* libssl, and what of libcrypto goes with it, loaded late (host/late.h). */
#ifndef ETCHED_HOST_LATE_SSL_H
#define ETCHED_HOST_LATE_SSL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "host/late.h"

#define LATE_SSL_TABLE(X)                  \
    X(SSL_CTX_new)                         \
    X(SSL_CTX_free)                        \
    X(SSL_CTX_up_ref)                      \
    X(SSL_CTX_ctrl)                        \
    X(SSL_CTX_set_options)                 \
    X(SSL_CTX_set_verify)                  \
    X(SSL_CTX_set_ciphersuites)            \
    X(SSL_CTX_set_cipher_list)             \
    X(SSL_CTX_set_alpn_protos)             \
    X(SSL_CTX_set_alpn_select_cb)          \
    X(SSL_CTX_set_session_id_context)      \
    X(SSL_CTX_set_default_read_buffer_len) \
    X(SSL_CTX_set_default_verify_paths)    \
    X(SSL_CTX_use_certificate_chain_file)  \
    X(SSL_CTX_use_PrivateKey_file)         \
    X(SSL_CTX_load_verify_file)            \
    X(SSL_CTX_set_client_CA_list)          \
    X(SSL_load_client_CA_file)             \
    X(SSL_CTX_get_cert_store)              \
    X(SSL_select_next_proto)               \
    X(SSL_new)                             \
    X(SSL_free)                            \
    X(SSL_ctrl)                            \
    X(SSL_set_bio)                         \
    X(SSL_set_ex_data)                     \
    X(SSL_get_ex_data)                     \
    X(SSL_get_ex_data_X509_STORE_CTX_idx)  \
    X(SSL_set_accept_state)                \
    X(SSL_set_connect_state)               \
    X(SSL_set1_host)                       \
    X(SSL_get0_param)                      \
    X(SSL_do_handshake)                    \
    X(SSL_read)                            \
    X(SSL_write)                           \
    X(SSL_has_pending)                     \
    X(SSL_set_read_ahead)                  \
    X(SSL_shutdown)                        \
    X(SSL_get_error)                       \
    X(SSL_get_verify_result)               \
    X(SSL_get1_peer_certificate)           \
    X(SSL_get0_alpn_selected)              \
    X(SSL_session_reused)                  \
    X(SSL_get_version)                     \
    X(SSL_get_current_cipher)              \
    X(SSL_CIPHER_get_name)                 \
    X(TLS_server_method)                   \
    X(TLS_client_method)

#define LATE_X509_TABLE(X)             \
    X(BIO_meth_new)                    \
    X(BIO_meth_set_write)              \
    X(BIO_meth_set_read)               \
    X(BIO_meth_set_ctrl)               \
    X(BIO_new)                         \
    X(BIO_new_file)                    \
    X(BIO_free)                        \
    X(BIO_set_data)                    \
    X(BIO_get_data)                    \
    X(BIO_set_init)                    \
    X(BIO_set_flags)                   \
    X(BIO_clear_flags)                 \
    X(ERR_get_error)                   \
    X(ERR_peek_error)                  \
    X(ERR_clear_error)                 \
    X(ERR_reason_error_string)         \
    X(EVP_PKEY_Q_keygen)               \
    X(EVP_PKEY_free)                   \
    X(EVP_sha256)                      \
    X(PEM_write_bio_PrivateKey)        \
    X(PEM_write_bio_X509)              \
    X(PEM_read_bio_X509)               \
    X(ASN1_INTEGER_set_uint64)         \
    X(ASN1_STRING_to_UTF8)             \
    X(ASN1_STRING_length)              \
    X(CRYPTO_free)                     \
    X(X509_new)                        \
    X(X509_free)                       \
    X(X509_set_version)                \
    X(X509_get_serialNumber)           \
    X(X509_gmtime_adj)                 \
    X(X509_time_adj_ex)                \
    X(X509_getm_notBefore)             \
    X(X509_getm_notAfter)              \
    X(X509_get0_notAfter)              \
    X(X509_cmp_time)                   \
    X(X509_set_pubkey)                 \
    X(X509_get_subject_name)           \
    X(X509_set_issuer_name)            \
    X(X509_NAME_add_entry_by_txt)      \
    X(X509_NAME_get_index_by_NID)      \
    X(X509_NAME_get_entry)             \
    X(X509_NAME_ENTRY_get_data)        \
    X(X509V3_EXT_conf_nid)             \
    X(X509_EXTENSION_free)             \
    X(X509_add_ext)                    \
    X(X509_sign)                       \
    X(X509_check_host)                 \
    X(X509_check_ip_asc)               \
    X(X509_load_crl_file)              \
    X(X509_LOOKUP_file)                \
    X(X509_STORE_add_lookup)           \
    X(X509_STORE_set_flags)            \
    X(X509_STORE_CTX_get_error_depth)  \
    X(X509_STORE_CTX_get_current_cert) \
    X(X509_STORE_CTX_get_ex_data)      \
    X(X509_STORE_CTX_set_error)        \
    X(X509_VERIFY_PARAM_set1_ip_asc)   \
    X(X509_verify_cert_error_string)

struct late_ssl {
#define X(name) __typeof__(&name) name##_;
    LATE_SSL_TABLE(X)
#undef X
};
struct late_x509 {
#define X(name) __typeof__(&name) name##_;
    LATE_X509_TABLE(X)
#undef X
};
extern struct late_ssl late_ssl;
extern struct late_x509 late_x509;

#ifndef LATE_OWN
#define SSL_CTX_new late_ssl.SSL_CTX_new_
#define SSL_CTX_free late_ssl.SSL_CTX_free_
#define SSL_CTX_up_ref late_ssl.SSL_CTX_up_ref_
#define SSL_CTX_ctrl late_ssl.SSL_CTX_ctrl_
#define SSL_CTX_set_options late_ssl.SSL_CTX_set_options_
#define SSL_CTX_set_verify late_ssl.SSL_CTX_set_verify_
#define SSL_CTX_set_ciphersuites late_ssl.SSL_CTX_set_ciphersuites_
#define SSL_CTX_set_cipher_list late_ssl.SSL_CTX_set_cipher_list_
#define SSL_CTX_set_alpn_protos late_ssl.SSL_CTX_set_alpn_protos_
#define SSL_CTX_set_alpn_select_cb late_ssl.SSL_CTX_set_alpn_select_cb_
#define SSL_CTX_set_session_id_context late_ssl.SSL_CTX_set_session_id_context_
#define SSL_CTX_set_default_read_buffer_len \
    late_ssl.SSL_CTX_set_default_read_buffer_len_
#define SSL_CTX_set_default_verify_paths \
    late_ssl.SSL_CTX_set_default_verify_paths_
#define SSL_CTX_use_certificate_chain_file \
    late_ssl.SSL_CTX_use_certificate_chain_file_
#define SSL_CTX_use_PrivateKey_file late_ssl.SSL_CTX_use_PrivateKey_file_
#define SSL_CTX_load_verify_file late_ssl.SSL_CTX_load_verify_file_
#define SSL_CTX_set_client_CA_list late_ssl.SSL_CTX_set_client_CA_list_
#define SSL_load_client_CA_file late_ssl.SSL_load_client_CA_file_
#define SSL_CTX_get_cert_store late_ssl.SSL_CTX_get_cert_store_
#define SSL_select_next_proto late_ssl.SSL_select_next_proto_
#define SSL_new late_ssl.SSL_new_
#define SSL_free late_ssl.SSL_free_
#define SSL_ctrl late_ssl.SSL_ctrl_
#define SSL_set_bio late_ssl.SSL_set_bio_
#define SSL_set_ex_data late_ssl.SSL_set_ex_data_
#define SSL_get_ex_data late_ssl.SSL_get_ex_data_
#define SSL_get_ex_data_X509_STORE_CTX_idx \
    late_ssl.SSL_get_ex_data_X509_STORE_CTX_idx_
#define SSL_set_accept_state late_ssl.SSL_set_accept_state_
#define SSL_set_connect_state late_ssl.SSL_set_connect_state_
#define SSL_set1_host late_ssl.SSL_set1_host_
#define SSL_get0_param late_ssl.SSL_get0_param_
#define SSL_do_handshake late_ssl.SSL_do_handshake_
#define SSL_read late_ssl.SSL_read_
#define SSL_write late_ssl.SSL_write_
#define SSL_has_pending late_ssl.SSL_has_pending_
#define SSL_set_read_ahead late_ssl.SSL_set_read_ahead_
#define SSL_shutdown late_ssl.SSL_shutdown_
#define SSL_get_error late_ssl.SSL_get_error_
#define SSL_get_verify_result late_ssl.SSL_get_verify_result_
#define SSL_get1_peer_certificate late_ssl.SSL_get1_peer_certificate_
#define SSL_get0_alpn_selected late_ssl.SSL_get0_alpn_selected_
#define SSL_session_reused late_ssl.SSL_session_reused_
#define SSL_get_version late_ssl.SSL_get_version_
#define SSL_get_current_cipher late_ssl.SSL_get_current_cipher_
#define SSL_CIPHER_get_name late_ssl.SSL_CIPHER_get_name_
#define TLS_server_method late_ssl.TLS_server_method_
#define TLS_client_method late_ssl.TLS_client_method_
#define BIO_meth_new late_x509.BIO_meth_new_
#define BIO_meth_set_write late_x509.BIO_meth_set_write_
#define BIO_meth_set_read late_x509.BIO_meth_set_read_
#define BIO_meth_set_ctrl late_x509.BIO_meth_set_ctrl_
#define BIO_new late_x509.BIO_new_
#define BIO_new_file late_x509.BIO_new_file_
#define BIO_free late_x509.BIO_free_
#define BIO_set_data late_x509.BIO_set_data_
#define BIO_get_data late_x509.BIO_get_data_
#define BIO_set_init late_x509.BIO_set_init_
#define BIO_set_flags late_x509.BIO_set_flags_
#define BIO_clear_flags late_x509.BIO_clear_flags_
#define ERR_get_error late_x509.ERR_get_error_
#define ERR_peek_error late_x509.ERR_peek_error_
#define ERR_clear_error late_x509.ERR_clear_error_
#define ERR_reason_error_string late_x509.ERR_reason_error_string_
#define EVP_PKEY_Q_keygen late_x509.EVP_PKEY_Q_keygen_
#define EVP_PKEY_free late_x509.EVP_PKEY_free_
#define EVP_sha256 late_x509.EVP_sha256_
#define PEM_write_bio_PrivateKey late_x509.PEM_write_bio_PrivateKey_
#define PEM_write_bio_X509 late_x509.PEM_write_bio_X509_
#define PEM_read_bio_X509 late_x509.PEM_read_bio_X509_
#define ASN1_INTEGER_set_uint64 late_x509.ASN1_INTEGER_set_uint64_
#define ASN1_STRING_to_UTF8 late_x509.ASN1_STRING_to_UTF8_
#define ASN1_STRING_length late_x509.ASN1_STRING_length_
#define CRYPTO_free late_x509.CRYPTO_free_
#define X509_new late_x509.X509_new_
#define X509_free late_x509.X509_free_
#define X509_set_version late_x509.X509_set_version_
#define X509_get_serialNumber late_x509.X509_get_serialNumber_
#define X509_gmtime_adj late_x509.X509_gmtime_adj_
#define X509_time_adj_ex late_x509.X509_time_adj_ex_
#define X509_getm_notBefore late_x509.X509_getm_notBefore_
#define X509_getm_notAfter late_x509.X509_getm_notAfter_
#define X509_get0_notAfter late_x509.X509_get0_notAfter_
#define X509_cmp_time late_x509.X509_cmp_time_
#define X509_set_pubkey late_x509.X509_set_pubkey_
#define X509_get_subject_name late_x509.X509_get_subject_name_
#define X509_set_issuer_name late_x509.X509_set_issuer_name_
#define X509_NAME_add_entry_by_txt late_x509.X509_NAME_add_entry_by_txt_
#define X509_NAME_get_index_by_NID late_x509.X509_NAME_get_index_by_NID_
#define X509_NAME_get_entry late_x509.X509_NAME_get_entry_
#define X509_NAME_ENTRY_get_data late_x509.X509_NAME_ENTRY_get_data_
#define X509V3_EXT_conf_nid late_x509.X509V3_EXT_conf_nid_
#define X509_EXTENSION_free late_x509.X509_EXTENSION_free_
#define X509_add_ext late_x509.X509_add_ext_
#define X509_sign late_x509.X509_sign_
#define X509_check_host late_x509.X509_check_host_
#define X509_check_ip_asc late_x509.X509_check_ip_asc_
#define X509_load_crl_file late_x509.X509_load_crl_file_
#define X509_LOOKUP_file late_x509.X509_LOOKUP_file_
#define X509_STORE_add_lookup late_x509.X509_STORE_add_lookup_
#define X509_STORE_set_flags late_x509.X509_STORE_set_flags_
#define X509_STORE_CTX_get_error_depth late_x509.X509_STORE_CTX_get_error_depth_
#define X509_STORE_CTX_get_current_cert \
    late_x509.X509_STORE_CTX_get_current_cert_
#define X509_STORE_CTX_get_ex_data late_x509.X509_STORE_CTX_get_ex_data_
#define X509_STORE_CTX_set_error late_x509.X509_STORE_CTX_set_error_
#define X509_VERIFY_PARAM_set1_ip_asc late_x509.X509_VERIFY_PARAM_set1_ip_asc_
#define X509_verify_cert_error_string late_x509.X509_verify_cert_error_string_
#endif

#endif
