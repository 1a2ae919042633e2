//! The walk. The only file that knows the order of the steps; steps never call each other.
//!
//! request → route → credential → provider → verify → identity → policy → verdict

mod cache;
mod memory;
mod occasion;
mod trail;

use std::sync::Arc;

use tokio::time::Instant;

pub use cache::{CacheLimits, CacheSizes, Fingerprint, TokenCache};
use cache::{Known, TokenKey};
pub use memory::TokenMemory;
pub use occasion::Occasion;
pub use trail::{CredentialKind, Decision, TokenId, Trail};

use crate::{
    api_token::ApiToken,
    clock::Now,
    credential::{BearerToken, Credential, OwnCredential, OwnedToken},
    deadline,
    holder::{ApiTokenRejection, ApiTokens},
    identity::Identity,
    policy::{self, Bounds, Refusal},
    provider::{Issuer, Judge, NoProvider, Provider, Selected, Selector},
    request::Request,
    route::{Application, Enforcement, Protection, Routes},
    verdict::{Denial, Grant, Native, Verdict, enforced},
    verify::{Unavailable, Verified, jws::UnverifiedJws, jwt::IssuerKeys},
};

/// Everything that a configuration says about requests, ready to be asked.
#[derive(Debug)]
pub struct Pipeline {
    routes: Arc<Routes>,
    memory: TokenMemory,
    api_tokens: Option<ApiTokens>,
    /// For requests to no application.
    enforcement: Enforcement,
    /// Says what every policy says, for a person.
    explains: bool,
}

impl Pipeline {
    /// Puts the parts together.
    pub fn new(
        routes: Routes,
        memory: TokenMemory,
        api_tokens: Option<ApiTokens>,
        enforcement: Enforcement,
    ) -> Self {
        Self {
            enforcement,
            explains: false,
            routes: Arc::new(routes),
            memory,
            api_tokens,
        }
    }

    /// Judges our own tokens; `None`: there are none.
    pub fn api_tokens(&self) -> Option<&ApiTokens> {
        self.api_tokens.as_ref()
    }

    /// How much is remembered.
    pub fn cache_sizes(&self) -> CacheSizes {
        self.memory.cache.sizes()
    }

    /// Decides about one request, before the deadline in any case.
    pub async fn check(&self, request: &Request, occasion: Occasion<'_>) -> Decision {
        let mut trail = Trail {
            enforcement: self.enforcement,
            ..Trail::default()
        };
        let verdict = deadline::by(occasion.deadline, self.walk(request, occasion, &mut trail))
            .await
            .unwrap_or(Err(Unavailable::Deadline.into()));
        Decision {
            verdict: enforced(verdict, trail.enforcement),
            trail,
        }
    }

    /// Whose token this is, for callers of our own API: the same steps and the same memory as for a request.
    pub async fn authenticate(
        &self,
        token: BearerToken<'_>,
        selector: &Selector,
        now: Now,
        deadline: Instant,
    ) -> Result<(Arc<Identity>, Arc<Provider>), Denial> {
        let question = Question {
            token,
            selector,
            occasion: Occasion {
                now,
                deadline,
                span: None,
            },
        };
        let judged = async {
            let mut trail = Trail::default();
            let (identity, provider) = self.identify(question, &mut trail).await?;
            policy::has_required_scopes(&identity, &provider)?;
            Ok((identity, provider))
        };
        let judged = deadline::by(deadline, judged).await;
        judged.unwrap_or(Err(Unavailable::Deadline.into()))
    }

    /// The same walk, with the same memory, that explains itself and leaves no notes about the tokens that it meets: a
    /// trial is no use.
    #[must_use]
    pub fn for_trials(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
            memory: self.memory.clone(),
            api_tokens: self.api_tokens.as_ref().map(ApiTokens::for_trials),
            enforcement: self.enforcement,
            explains: true,
        }
    }

    async fn walk(&self, request: &Request, occasion: Occasion<'_>, trail: &mut Trail) -> Verdict {
        let application = self.routes.find(request)?;
        trail.application = Some(Arc::clone(application));
        trail.enforcement = application.enforcement;
        trail.takes_basic = self.api_tokens.is_some();
        if application.enforcement == Enforcement::Off {
            return Ok(Grant::Native(Native::Unchecked));
        }
        application.admit(request)?;
        let selector = match application.protection(request) {
            Protection::Public => return Ok(Grant::Anonymous),
            Protection::Protected(selector) => selector,
        };
        let Some(credential) = Credential::extract(request)? else {
            return without_credential(request, application);
        };
        match credential {
            Credential::Bearer(token) => {
                trail.credential = CredentialKind::Bearer;
                let question = Question {
                    token,
                    selector,
                    occasion,
                };
                let (identity, provider) = self.identify(question, trail).await?;
                let asked = policy::Question {
                    identity: &identity,
                    bounds: Bounds::Provider(&provider),
                    request,
                    application,
                };
                if let Err(refusal) = self.permit(&asked, trail) {
                    trail.refused = Some(identity);
                    return Err(refusal.into());
                }
                Ok(Grant::As(identity))
            }
            Credential::Own(own) => {
                trail.credential = CredentialKind::ApiToken;
                let asked = Asked {
                    request,
                    application,
                    now: occasion.now,
                };
                self.recognise(&own, asked, trail).await
            }
            Credential::Foreign(foreign) => {
                trail.credential = foreign.into();
                if application.native.foreign_credentials {
                    Ok(Grant::Native(Native::Credential))
                } else {
                    Err(Denial::ForeignCredential(foreign))
                }
            }
        }
    }

    /// Steps 5 to 8 for our own tokens, which no provider ever sees.
    async fn recognise(
        &self,
        own: &OwnCredential<'_>,
        asked: Asked<'_>,
        trail: &mut Trail,
    ) -> Verdict {
        let api_tokens = self.api_tokens.as_ref().ok_or(NoProvider::OwnToken)?;
        let token = ApiToken::parse(own.expose()).map_err(ApiTokenRejection::Malformed)?;
        trail.token_id = Some(TokenId::Issued(token.id));
        let known = api_tokens.find(token.id, asked.now).await?;
        trail.cached = known.cached;
        let holder = api_tokens.judge(token, own.claim(), &known, asked.now)?;
        let question = policy::Question {
            identity: &holder.identity,
            bounds: Bounds::ApiToken(&holder.scope),
            request: asked.request,
            application: asked.application,
        };
        if let Err(refusal) = self.permit(&question, trail) {
            if refusal.is_of_api_token() {
                api_tokens.exceeded(&known, refusal.reason());
            }
            trail.refused = Some(holder.identity);
            return Err(refusal.into());
        }
        api_tokens.used(&known, asked.request.source, asked.now);
        Ok(Grant::As(holder.identity))
    }

    /// Step 8.
    fn permit(&self, question: &policy::Question<'_>, trail: &mut Trail) -> Result<(), Refusal> {
        if self.explains {
            trail.policies = policy::explain(question);
        }
        policy::decide(question)
    }

    /// Steps 5 to 7, or the memory of them.
    async fn identify(&self, question: Question<'_>, trail: &mut Trail) -> Result<Known, Denial> {
        let key = self.memory.cache.key(question.token, question.selector);
        trail.token_id = Some(TokenId::Fingerprint(key.fingerprint()));
        if let Some(remembered) = self.memory.cache.get(key, question.occasion.now) {
            trail.cached = true;
            if let Some(provider) = &remembered.provider {
                trail.judged_by(provider);
            }
            if let (true, Some(provider)) = (remembered.is_due, &remembered.provider) {
                let again = || self.remote_question(question, key, provider);
                drop(self.memory.flights.begin(key, again));
            }
            return remembered.outcome;
        }
        // In a box: every check would take the room of what few have to wait for.
        Box::pin(self.verify_anew(question, key, trail)).await
    }

    /// Steps 5 to 7, for a token that is not remembered.
    async fn verify_anew(
        &self,
        question: Question<'_>,
        key: TokenKey,
        trail: &mut Trail,
    ) -> Result<Known, Denial> {
        match question.selector.select(question.token) {
            Ok(Selected::Jwt { issuer, jws }) => {
                trail.judged_by(&issuer.provider);
                let verified = question.verify_jwt(issuer, jws).await;
                self.memory.cache.remember(
                    key,
                    &verified,
                    Some(&issuer.provider),
                    question.occasion.now,
                );
                verified
            }
            Ok(Selected::Remote(provider)) => {
                trail.judged_by(provider);
                let Judge::Remote(verifier) = &provider.judge else {
                    return Err(Unavailable::Internal.into());
                };
                let ask = || self.first_question(question, key, provider);
                self.memory.flights.join(key, verifier.waiting(), ask).await
            }
            Err(nobody) => {
                let refused = Err(nobody.into());
                self.memory
                    .cache
                    .remember(key, &refused, None, question.occasion.now);
                refused
            }
        }
    }

    /// Asks, unless somebody else's question has been answered since the memory was looked at.
    fn first_question(
        &self,
        question: Question<'_>,
        key: TokenKey,
        provider: &Arc<Provider>,
    ) -> impl Future<Output = Result<Known, Denial>> + Send + 'static {
        let asked = self.remote_question(question, key, provider);
        let (cache, now) = (Arc::clone(&self.memory.cache), question.occasion.now);
        async move {
            match cache.get(key, now) {
                Some(remembered) => remembered.outcome,
                None => asked.await,
            }
        }
    }

    /// Asks a provider and remembers what it says: all that must go on when nobody waits any more.
    fn remote_question(
        &self,
        question: Question<'_>,
        key: TokenKey,
        provider: &Arc<Provider>,
    ) -> impl Future<Output = Result<Known, Denial>> + Send + 'static {
        let (cache, provider) = (Arc::clone(&self.memory.cache), Arc::clone(provider));
        let (token, now) = (OwnedToken::from(question.token), question.occasion.now);
        // Others may wait for the answer; it is asked for in the name of the first.
        let span = question.occasion.span.cloned();
        async move {
            let outcome = match &provider.judge {
                Judge::Remote(verifier) => {
                    let verified = verifier.verify(token.expose(), now, span.as_ref()).await;
                    verified.map_or_else(|error| Err(error.into()), |it| establish(it, &provider))
                }
                Judge::Jwt(_) => Err(Unavailable::Internal.into()),
            };
            cache.remember(key, &outcome, Some(&provider), now);
            outcome
        }
    }
}

/// What is asked for, and when.
#[derive(Clone, Copy)]
struct Asked<'a> {
    request: &'a Request,
    application: &'a Application,
    now: Now,
}

/// Whose token is this?
#[derive(Clone, Copy)]
struct Question<'a> {
    token: BearerToken<'a>,
    selector: &'a Selector,
    occasion: Occasion<'a>,
}

impl Question<'_> {
    async fn verify_jwt(self, issuer: &Issuer, jws: UnverifiedJws<'_>) -> Result<Known, Denial> {
        let Judge::Jwt(verifier) = &issuer.provider.judge else {
            return Err(Unavailable::Internal.into());
        };
        let keys = IssuerKeys {
            keyring: &issuer.keyring,
            required: &issuer.required,
        };
        let Occasion { now, deadline, .. } = self.occasion;
        let verified = verifier.verify(jws, keys, now, deadline).await?;
        establish(verified, &issuer.provider)
    }
}

fn without_credential(request: &Request, application: &Application) -> Verdict {
    let native = application.native;
    if native.without_credentials {
        Ok(Grant::Native(Native::Credential))
    } else if native.preflight && request.is_preflight() {
        Ok(Grant::Native(Native::Preflight))
    } else {
        Err(Denial::NoCredential)
    }
}

fn establish(verified: Verified, provider: &Arc<Provider>) -> Result<Known, Denial> {
    let name = Arc::clone(&provider.name);
    let identity = Identity::establish(verified, name, &provider.mapping, &provider.keep)?;
    Ok((Arc::new(identity), Arc::clone(provider)))
}

#[cfg(test)]
mod tests;
