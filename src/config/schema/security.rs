//! TLS, SASL, authorisation and tokens.
//!
//! Names, types, defaults and bounds are those of Kafka 4.2 (its `ConfigDef`s) except where
//! `schema/mod.rs` says otherwise; the descriptions are our own.

use super::ConfigKey;
use super::Status::{NoEffect, RefusedIfSet};
use super::Valid::{Any, AtLeast, Between, OneOf, OneOfAnyCase};

keys! {
    /// Class that decides who may do what.
    "authorizer.class.name": String, Some(""), Any, ReadOnly, RefusedIfSet("access rules are not enforced yet and every client could do everything");
    /// How often is looked for expired delegation tokens.
    "delegation.token.expiry.check.interval.ms": Long, Some("3600000"), AtLeast(1), ReadOnly, NoEffect;
    /// Life of a delegation token until it is renewed.
    "delegation.token.expiry.time.ms": Long, Some("86400000"), AtLeast(1), ReadOnly, NoEffect;
    /// Longest life of a delegation token.
    "delegation.token.max.lifetime.ms": Long, Some("604800000"), AtLeast(1), ReadOnly, NoEffect;
    /// Secret that signs delegation tokens; none are handed out here.
    "delegation.token.secret.key": Password, None, Any, ReadOnly, NoEffect;
    /// Class that names a client after it has authenticated.
    "principal.builder.class": Class, Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"), Any, PerBroker, RefusedIfSet("the builder is a Java class that cannot run here and all clients would be anonymous");
    /// Class for the client side of SASL between brokers.
    "sasl.client.callback.handler.class": Class, None, Any, ReadOnly, RefusedIfSet("SASL is not served");
    /// SASL mechanisms offered to clients.
    "sasl.enabled.mechanisms": List, Some("GSSAPI"), Any, PerBroker, RefusedIfSet("SASL is not served and no client would have to authenticate");
    /// Login data of a SASL mechanism.
    "sasl.jaas.config": Password, None, Any, PerBroker, RefusedIfSet("SASL is not served and no client would have to authenticate");
    /// Path of Kerberos' kinit.
    "sasl.kerberos.kinit.cmd": String, Some("/usr/bin/kinit"), Any, PerBroker, NoEffect;
    /// Rest between two Kerberos logins.
    "sasl.kerberos.min.time.before.relogin": Long, Some("60000"), Any, PerBroker, NoEffect;
    /// Rules that turn a Kerberos principal into a short name.
    "sasl.kerberos.principal.to.local.rules": List, Some("DEFAULT"), Any, PerBroker, NoEffect;
    /// Kerberos name of the broker.
    "sasl.kerberos.service.name": String, None, Any, PerBroker, NoEffect;
    /// Random share of the time of a Kerberos renewal.
    "sasl.kerberos.ticket.renew.jitter": Double, Some("0.05"), Any, PerBroker, NoEffect;
    /// Share of a ticket's life at which it is renewed.
    "sasl.kerberos.ticket.renew.window.factor": Double, Some("0.8"), Any, PerBroker, NoEffect;
    /// Class for the login of SASL between brokers.
    "sasl.login.callback.handler.class": Class, None, Any, ReadOnly, RefusedIfSet("SASL is not served");
    /// Class that logs in for SASL between brokers.
    "sasl.login.class": Class, None, Any, ReadOnly, RefusedIfSet("SASL is not served");
    /// How long a connection to a token service may take.
    "sasl.login.connect.timeout.ms": Int, None, Any, ReadOnly, NoEffect;
    /// How long a token service may take to answer.
    "sasl.login.read.timeout.ms": Int, None, Any, ReadOnly, NoEffect;
    /// Life that a token has left when it is refreshed.
    "sasl.login.refresh.buffer.seconds": Short, Some("300"), Any, PerBroker, NoEffect;
    /// Shortest time between two refreshes of a token.
    "sasl.login.refresh.min.period.seconds": Short, Some("60"), Any, PerBroker, NoEffect;
    /// Share of a token's life at which it is refreshed.
    "sasl.login.refresh.window.factor": Double, Some("0.8"), Any, PerBroker, NoEffect;
    /// Random share of the time of a refresh.
    "sasl.login.refresh.window.jitter": Double, Some("0.05"), Any, PerBroker, NoEffect;
    /// Longest rest between tries to get a token.
    "sasl.login.retry.backoff.max.ms": Long, Some("10000"), Any, ReadOnly, NoEffect;
    /// First rest between tries to get a token.
    "sasl.login.retry.backoff.ms": Long, Some("100"), Any, ReadOnly, NoEffect;
    /// SASL mechanism of connections to controllers.
    "sasl.mechanism.controller.protocol": String, Some("GSSAPI"), Any, ReadOnly, NoEffect;
    /// SASL mechanism of connections between brokers.
    "sasl.mechanism.inter.broker.protocol": String, Some("GSSAPI"), Any, PerBroker, NoEffect;
    /// Algorithm that signs an OAuth assertion.
    "sasl.oauthbearer.assertion.algorithm": String, Some("RS256"), OneOfAnyCase(&["ES256", "RS256"]), ReadOnly, NoEffect;
    /// Audience in an OAuth assertion.
    "sasl.oauthbearer.assertion.claim.aud": String, None, Any, ReadOnly, NoEffect;
    /// Life of an OAuth assertion.
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int, Some("300"), Between(0, 86_400), ReadOnly, NoEffect;
    /// Issuer in an OAuth assertion.
    "sasl.oauthbearer.assertion.claim.iss": String, None, Any, ReadOnly, NoEffect;
    /// Whether an OAuth assertion has an id.
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean, Some("false"), Any, ReadOnly, NoEffect;
    /// How far an OAuth assertion's start lies in the past.
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int, Some("60"), Between(0, 3600), ReadOnly, NoEffect;
    /// Subject in an OAuth assertion.
    "sasl.oauthbearer.assertion.claim.sub": String, None, Any, ReadOnly, NoEffect;
    /// File with a ready OAuth assertion.
    "sasl.oauthbearer.assertion.file": String, None, Any, ReadOnly, NoEffect;
    /// File with the key that signs OAuth assertions.
    "sasl.oauthbearer.assertion.private.key.file": String, None, Any, ReadOnly, NoEffect;
    /// Passphrase of that key.
    "sasl.oauthbearer.assertion.private.key.passphrase": Password, None, Any, ReadOnly, NoEffect;
    /// File with the fixed parts of an OAuth assertion.
    "sasl.oauthbearer.assertion.template.file": String, None, Any, ReadOnly, NoEffect;
    /// OAuth client id of the broker.
    "sasl.oauthbearer.client.credentials.client.id": String, None, Any, ReadOnly, NoEffect;
    /// OAuth client secret of the broker.
    "sasl.oauthbearer.client.credentials.client.secret": Password, None, Any, ReadOnly, NoEffect;
    /// Difference of clocks that is tolerated in OAuth tokens.
    "sasl.oauthbearer.clock.skew.seconds": Int, Some("30"), Any, ReadOnly, NoEffect;
    /// Audiences of which an OAuth token must name one.
    "sasl.oauthbearer.expected.audience": List, Some(""), Any, ReadOnly, NoEffect;
    /// Issuer that an OAuth token must name.
    "sasl.oauthbearer.expected.issuer": String, None, Any, ReadOnly, NoEffect;
    /// How often the OAuth keys are fetched.
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long, Some("3600000"), Any, ReadOnly, NoEffect;
    /// Longest rest between tries to fetch the OAuth keys.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long, Some("10000"), Any, ReadOnly, NoEffect;
    /// First rest between tries to fetch the OAuth keys.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long, Some("100"), Any, ReadOnly, NoEffect;
    /// Where the OAuth keys are.
    "sasl.oauthbearer.jwks.endpoint.url": String, None, Any, ReadOnly, NoEffect;
    /// Class that gets OAuth tokens.
    "sasl.oauthbearer.jwt.retriever.class": Class, Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"), Any, ReadOnly, NoEffect;
    /// Class that checks OAuth tokens.
    "sasl.oauthbearer.jwt.validator.class": Class, Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"), Any, ReadOnly, NoEffect;
    /// Scope that the broker asks for in a token.
    "sasl.oauthbearer.scope": String, None, Any, ReadOnly, NoEffect;
    /// Name of the scope in an OAuth token.
    "sasl.oauthbearer.scope.claim.name": String, Some("scope"), Any, ReadOnly, NoEffect;
    /// Name of the subject in an OAuth token.
    "sasl.oauthbearer.sub.claim.name": String, Some("sub"), Any, ReadOnly, NoEffect;
    /// Where OAuth tokens are had.
    "sasl.oauthbearer.token.endpoint.url": String, None, Any, ReadOnly, NoEffect;
    /// Class for the server side of SASL.
    "sasl.server.callback.handler.class": Class, None, Any, ReadOnly, RefusedIfSet("SASL is not served and no client would have to authenticate");
    /// Largest message of a client that has not authenticated.
    "sasl.server.max.receive.size": Int, Some("524288"), Any, ReadOnly, NoEffect;
    /// Security protocol between brokers.
    "security.inter.broker.protocol": String, Some("PLAINTEXT"), OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly, RefusedIfSet("TLS and SASL are not served");
    /// Java classes that provide security algorithms.
    "security.providers": String, None, Any, ReadOnly, NoEffect;
    /// Whether a new certificate may have another name.
    "ssl.allow.dn.changes": Boolean, Some("false"), Any, ReadOnly, NoEffect;
    /// Whether a new certificate may have other alternative names.
    "ssl.allow.san.changes": Boolean, Some("false"), Any, ReadOnly, NoEffect;
    /// TLS cipher suites offered.
    "ssl.cipher.suites": List, Some(""), Any, PerBroker, NoEffect;
    /// Whether clients must show a certificate.
    "ssl.client.auth": String, Some("none"), OneOf(&["required", "requested", "none"]), PerBroker, RefusedIfSet("TLS is not served and no client would have to show a certificate");
    /// TLS versions offered.
    "ssl.enabled.protocols": List, Some("TLSv1.2,TLSv1.3"), Any, PerBroker, NoEffect;
    /// How a server's name is checked against its certificate.
    "ssl.endpoint.identification.algorithm": String, Some("https"), Any, PerBroker, NoEffect;
    /// Class that makes TLS engines.
    "ssl.engine.factory.class": Class, None, Any, PerBroker, RefusedIfSet("TLS is not served");
    /// Password of the private key.
    "ssl.key.password": Password, None, Any, PerBroker, NoEffect;
    /// Java's algorithm for keys.
    "ssl.keymanager.algorithm": String, Some("SunX509"), Any, PerBroker, NoEffect;
    /// The broker's certificate chain in PEM form.
    "ssl.keystore.certificate.chain": Password, None, Any, PerBroker, RefusedIfSet("TLS is not served and connections would not be encrypted");
    /// The broker's private key in PEM form.
    "ssl.keystore.key": Password, None, Any, PerBroker, RefusedIfSet("TLS is not served and connections would not be encrypted");
    /// File with the broker's key and certificate.
    "ssl.keystore.location": String, None, Any, PerBroker, RefusedIfSet("TLS is not served and connections would not be encrypted");
    /// Password of the key store.
    "ssl.keystore.password": Password, None, Any, PerBroker, NoEffect;
    /// Format of the key store.
    "ssl.keystore.type": String, Some("JKS"), Any, PerBroker, NoEffect;
    /// Rules that turn a certificate's name into a short one.
    "ssl.principal.mapping.rules": String, Some("DEFAULT"), Any, ReadOnly, NoEffect;
    /// TLS version preferred.
    "ssl.protocol": String, Some("TLSv1.3"), Any, PerBroker, NoEffect;
    /// Java class that provides TLS.
    "ssl.provider": String, None, Any, PerBroker, NoEffect;
    /// Java's source of random numbers for TLS.
    "ssl.secure.random.implementation": String, None, Any, PerBroker, NoEffect;
    /// Java's algorithm for trust.
    "ssl.trustmanager.algorithm": String, Some("PKIX"), Any, PerBroker, NoEffect;
    /// Trusted certificates in PEM form.
    "ssl.truststore.certificates": Password, None, Any, PerBroker, RefusedIfSet("TLS is not served and clients' certificates would not be checked");
    /// File with trusted certificates.
    "ssl.truststore.location": String, None, Any, PerBroker, RefusedIfSet("TLS is not served and clients' certificates would not be checked");
    /// Password of the trust store.
    "ssl.truststore.password": Password, None, Any, PerBroker, NoEffect;
    /// Format of the trust store.
    "ssl.truststore.type": String, Some("JKS"), Any, PerBroker, NoEffect;
}
