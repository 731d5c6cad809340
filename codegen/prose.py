"""The words of the docstrings, this project's own: sentences by rule, and by hand where a rule would say too little."""

from __future__ import annotations

from . import names
from .plan import Method

# resource: one of them, several of them
_NOUNS: dict[str, tuple[str, str]] = {
    "bills.line_items": ("line item of a bill", "the line items of a bill"),
    "bills.credit_line_items": ("credit on a bill", "the credits on a bill"),
    "bills.debit_line_items": ("debit on a bill", "the debits on a bill"),
    "balances": ("balance", "balances"),
    "balances.transactions": ("transaction on a balance", "the transactions on a balance"),
    "balances.transaction_schedules": (
        "schedule of transactions on a balance",
        "the schedules of transactions on a balance",
    ),
    "balances.charge_schedules": ("schedule of charges to a balance", "the schedules of charges to a balance"),
    "bill_config": ("the organization's bill configuration", "the organization's bill configuration"),
    "organization_config": ("the organization's configuration", "the organization's configuration"),
    "support": ("the access of m3ter's support staff", "the access of m3ter's support staff"),
    "custom_fields": ("the organization's custom fields", "the organization's custom fields"),
    "line_items": ("line item", "the line items of all bills"),
    "statements": ("statement", "the statements of bills"),
    "authentication": ("access token", "access tokens"),
    "usage": ("usage", "measured usage"),
    "users.invitations": ("invitation of a user", "invitations of users"),
    "webhooks": ("webhook destination", "webhook destinations"),
    "counter_adjustments": ("counter adjustment", "counter adjustments"),
}

_VERBS = {
    "list": "Stream {many}.",
    "create": "Create {a_one}.",
    "retrieve": "Get {a_one}.",
    "update": "Replace {a_one}.",
    "delete": "Delete {a_one}; the answer is what was deleted.",
    "search": "Stream the {plain} that match a query.",
    "cancel": "Cancel {a_one}.",
    "preview": "Show what {a_one} would make, without storing anything.",
}

_SUMMARIES = {
    "GenerateToken": "Get an access token for the client's key and secret.",
    "ListBills": "Stream bills, newest first.",
    "SearchBills": "Stream the bills that match a query.",
    "GetAllBillsForAccount": "Stream the bills of one account, newest first.",
    "GetAllBillsInBillingPeriod": "Stream the bills of one billing period.",
    "GetLatestBill": "Get the newest bill of an account.",
    "PreviewBill": "Calculate a bill without storing it.",
    "ApproveBills": "Approve bills by id: they go from PENDING to APPROVED.",
    "ApproveAllBillsInBillingPeriod": "Approve every bill of one billing period.",
    "UpdateBillStatus": "Set the status of a bill.",
    "LockBill": "Lock a bill for good.",
    "DownloadBillsCsvUrl": "Make a URL from which a CSV file of bills can be downloaded.",
    "GetBillJsonStatement": "Get a URL from which a bill's statement can be downloaded as JSON.",
    "GetBillCsvStatement": "Get a URL from which a bill's statement can be downloaded as CSV.",
    "CreateBillCsvStatement": "Have a bill's statement written as CSV, and get the URL to download it from.",
    "GetBillLineItemJsonUsage": "Get a URL from which the usage behind a line item can be downloaded as JSON.",
    "CreateBillJob": "Start a job that calculates bills.",
    "RecalculateBillJob": "Start a job that calculates existing bills anew.",
    "CreateStatementJob": "Start a job that writes the statement of a bill.",
    "CreateStatementJobBatch": "Start jobs that write the statements of up to ten bills.",
    "PostBalanceTransaction": "Add an amount to a balance, or take one from it.",
    "GetBalanceTransactionsSummary": "Get the totals of a balance's transactions.",
    "CreateCharge": "Charge an account, or add a charge to a balance.",
    "PostCounterAdjustment": "Set a counter of an account to a value from a date on.",
    "UpdateBillConfig": "Replace the organization's bill configuration.",
    "PostQueryBillData": "Query bill line items over a range of time.",
    "PostUsageDataQuery": "Query usage over a range of time.",
    "SubmitMeasurements": "Send up to 1000 measurements.",
    "ListResourceGroupsForId": "Stream what a resource group holds.",
    "AdminResendTempPass": "Send a user a new temporary password by mail.",
    "GetMe": "Get the caller: a user or a service user, and the organization.",
    "EvaluateCalculation": "Try out a notification's calculation on an event.",
    "ReplaceAccountPlan": "End an account plan and attach another in its place.",
    "EndDateBillingEntitiesForAccount": "End what bills an account: plans, contracts, prepayments, pricings.",
    "EndDateBillingEntitiesForContract": "End what bills a contract: plans, prepayments, pricings.",
    "ListAccountChildren": "Stream the child accounts of an account.",
    "TriggerDataExport": "Start one export now.",
    "GenerateDataExportFileDownloadUrl": "Get a URL from which an exported file can be downloaded.",
    "ListEventFields": "Get the fields of each event type.",
    "ListEventTypes": "Get the names of all event types.",
    "GetExternalMappingConfiguration": "Get which entities can be mapped to which external systems.",
    "ListExternalMappingsForExternalSystemAndEntity": "Stream the mappings of one entity of an external system.",
    "ListExternalMappingsForM3terEntity": "Stream the mappings of one m3ter entity.",
    "GetExternalMappingOptionsForDestination": "Get what an external system offers to map an entity to.",
    "GetExternalMappingOptionsForDestinationForCredentialsId": "The same, seen with particular credentials.",
    "EnableIntegrationConfig": "Switch an integration on.",
    "GetIntegrationConfigForType": "Stream the integrations of one type of entity.",
    "GetConfigOptionValues": "Get the values that an option of a system can take.",
    "GetAvailableConfig": "Get what can be configured for which entity and system.",
    "GetAvailableAuthForSystemAndEntityType": "Get how to log in to a system for one type of entity.",
    "GetAvailableSystemEntities": "Get the entities that a system can be integrated with.",
    "GetAvailableSystems": "Get the systems there are integrations for.",
    "GetIntegrationRunLogs": "Get the log of an integration run.",
    "ListIntegrationRunsByDestinationId": "Stream the integration runs of one destination.",
    "GetIntegrationRunLatestForIds": "Get the latest integration run of several entities.",
    "GetIntegrationRunLatest": "Get the latest integration run of an entity.",
    "GetLookupTableRevisionArchivedDataUrl": "Get a URL from which archived data can be downloaded.",
    "CopyLookupTableRevisionData": "Copy the data of one revision to another.",
    "DeleteLookupTableRevisionDataEntry": "Delete one row by its key.",
    "GenerateLookupTableDataUploadUrl": "Get a URL to which the data of a revision can be uploaded.",
    "GetLookupTableRevisionDataEntry": "Get one row by its key.",
    "PutLookupTableRevisionDataEntry": "Add one row, or replace the one with its key.",
    "TriggerLookupTableRevisionDataDownloadJob": "Start a job that writes the data to a file.",
    "UpdateLookupTableRevisionStatus": "Set the status of a revision.",
    "GetUsageReport": "Stream what was reported to a marketplace.",
    "AddResourceToGroup": "Add something to a resource group.",
    "RemoveResourceFromGroup": "Take something out of a resource group.",
    "GetResourceGroupPermissions": "Stream the permission policies of a resource group.",
    "GetValidationErrorDownloadUrl": "Get a URL from which measurements that failed can be downloaded.",
    "GenerateUploadUrl": "Get a URL to which a file of measurements can be uploaded.",
    "GetJobOriginalFileDownloadUrl": "Get a URL from which an uploaded file can be downloaded again.",
    "GetOrgUserPermissions": "Stream the permission policies of a user.",
    "GetOrgUserGroups": "Stream the groups of a user.",
    "ActivateWebhookDestination": "Switch a webhook destination on or off.",
}

_PRESIGNED = "The URL is presigned: fetch it without an Authorization header."
_AMOUNT_OR_UNITS = "Give `amount`, or `units` with `unit_price`; never both."
_MONEY = (
    "It moves money, so it is never sent again when nobody knows whether it took effect: "
    "the exception then has `outcome_unknown` set."
)
_MAIL = "Never sent again by itself: every time is another mail."
_ONCE = "Not sent again by itself when nobody knows whether it took effect."
_SCHEDULE = "The interval is 1 to 365; the end of the schedule is exclusive."

_NOTES: dict[str, tuple[str, ...]] = {
    "ListBills": (
        "Ranges of dates are half-open: the start counts, the end does not.",
        "`billing_frequency` goes with `bill_date` only.",
    ),
    "SearchBills": (
        "`search_query` joins conditions by ``$``, as in ``accountId:x$billDate>2024-01-01``, "
        "with ``>`` ``>=`` ``:`` ``<=`` ``<`` and ``~`` (starts with). "
        "A page holds ten bills unless `page_size` says otherwise.",
    ),
    "ApproveBills": ("The answer is a message, not the bills.",),
    "ApproveAllBillsInBillingPeriod": ("The answer is a message, not the bills.",),
    "LockBill": ("A lock cannot be undone, and a PENDING bill cannot be locked.",),
    "UpdateBillConfig": ("`bill_lock_date` locks every bill up to that date; refused while one of them is PENDING.",),
    "CreateBillJob": (
        "At most ten jobs run at once: then the answer is a 429. "
        "A job has no failed state, so waiting for it needs a timeout.",
    ),
    "CreateStatementJob": ("The statement's URLs are in the job once it is COMPLETE.",),
    "GetBillJsonStatement": (_PRESIGNED,),
    "GetBillCsvStatement": (_PRESIGNED,),
    "CreateBillCsvStatement": (_PRESIGNED,),
    "DownloadBillsCsvUrl": (_PRESIGNED,),
    "GetBillLineItemJsonUsage": (_PRESIGNED,),
    "PostBalanceTransaction": ("`amount` may be negative. A transaction is never changed or deleted.", _MONEY),
    "CreateCharge": (
        _AMOUNT_OR_UNITS,
        "A charge with the entity type BALANCE takes the balance's id as `entity_id`.",
        _MONEY,
    ),
    "UpdateCharge": (_AMOUNT_OR_UNITS,),
    "CreateBalanceChargeSchedule": (_AMOUNT_OR_UNITS, _SCHEDULE, _MONEY),
    "UpdateBalanceChargeSchedule": (_AMOUNT_OR_UNITS, _SCHEDULE),
    "PreviewScheduledCharge": (_AMOUNT_OR_UNITS, _SCHEDULE),
    "CreateBalanceTransactionSchedule": (_SCHEDULE, _MONEY),
    "UpdateBalanceTransactionSchedule": (_SCHEDULE,),
    "PreviewBalanceTransactionSchedule": (_SCHEDULE,),
    "PostCreditLineItem": (_MONEY,),
    "PostDebitLineItem": (_MONEY,),
    "GenerateToken": ("The client does this by itself; call it to have a token for something else.",),
    "SubmitMeasurements": (
        "A request holds 1 to 1000 measurements and under 512,000 bytes. With a `uid` in each, a repeat is not "
        "counted twice (for 35 days). The answer comes before validation: failures show up later, as events.",
    ),
    "PostQueryBillData": ("At most 2000 rows.",),
    "PostUsageDataQuery": ("At most 20,000 rows; `has_more_data` says whether there were more.",),
    "GenerateUploadUrl": ("The URL is valid for one minute, for a file of at most 1 GiB.",),
    "GetLookupTableRevisionData": ("At most 2000 rows, and no way to page on.",),
    "AdminResendTempPass": (_MAIL,),
}
_REPLACES = "Everything is replaced: custom fields that are left out are lost."
_VERSION_UPDATE = "`version` must be that of the stored one; the service refuses an update without it."
_VERSION_CREATE = "Leave `version` out: it is for updates."

_MODELS = {
    "BillResponse": "A bill of an account for one billing period; `locked` is apart from `status`.",
    "BillLineItem": "A line item as it is nested in a bill.",
    "BillLineItemResponse": "A line item on its own, with the bill it belongs to.",
    "BillLineItemPricingBandUsage": "What one pricing band contributed to a line item.",
    "CurrencyConversion": "A rate: one `from_` is worth `multiplier` `to`.",
    "ObjectUrlResponse": "Where to download a file: a presigned URL, to be fetched without an Authorization header.",
    "BillApprovalResponse": "What the service says about an approval, in words.",
    "BillJobResponse": "A job that calculates bills; `pending` of `total` are still to do.",
    "StatementJobResponse": "A job that writes a bill's statement; the URLs appear when it is complete.",
    "StatementJobFilters": "Which meters' usage a statement holds.",
    "BalanceResponse": "A prepaid amount that an account's bills draw down.",
    "BalanceTransactionResponse": "One change of a balance; the amount is negative where it took from it.",
    "BalanceTransactionsSummary": "The totals of a balance's transactions.",
    "BearerAccessTokenResponse": "An access token and how long it lasts.",
    "CreditLineItemResponse": "A credit on a bill.",
    "DebitLineItemResponse": "A debit on a bill.",
    "ChargeResponse": "A charge to an account or a balance, outside of any plan.",
    "BillConfigResponse": "What holds for all bills of the organization.",
    "BalanceChargeScheduleResponse": "Charges to a balance that come by themselves, at an interval.",
    "BalanceTransactionScheduleResponse": "Transactions on a balance that come by themselves, at an interval.",
    "CounterAdjustmentResponse": "The value of an account's counter from a date on.",
    "AdHocResponse": "The job of an export that was started by hand.",
    "BillDataResponse": "What a query of bill line items found.",
    "BillData": "One line item that a query found.",
    "BillDetails": "The bill that a found line item belongs to.",
    "LineItemDimensions": "What a found line item is about.",
    "LineItemMeasures": "The amounts of a found line item.",
    "ConfigOptionsResponse": "A value that an option can take.",
    "EndDateBillingEntitiesResponse": "What was ended, and what could not be.",
    "EndDateBillingEntitiesResponseUpdatedEntities": "The ids of what was ended, by kind.",
    "EndDateBillingEntitiesResponseFailedEntities": "The ids of what could not be ended, by kind.",
    "EvaluateCalculationResponse": "Whether a calculation can be evaluated.",
    "EventFieldsResponse": "The fields of each event type.",
    "EventTypeResponse": "The names of event types.",
    "GenerateDownloadUrlResponse": "Where to download a file.",
    "GenerateExportDownloadUrlResponse": "Where to download an exported file, and until when.",
    "IntegrationCredentialsRequestBase": "How to log in to another system; which fields there are depends on `type`.",
    "IntegrationM3terSignedCredentialsRequest": "Key and secret with which m3ter signs what it sends.",
    "IntegrationM3terSignedCredentialsResponse": "Key and secret with which m3ter signs what it sends.",
    "LookupTableDataArchivedResponse": "Where to download archived data, and until when.",
    "LookupTableDataUploadResponse": "Where to upload the data of a revision, with which headers.",
    "LookupTableRevisionCopyResponse": "The job that copies the data.",
    "LookupTableRevisionDataResponse": "The rows of a revision.",
    "LookupTableRevisionDataDeleteResponse": "What came of deleting the data.",
    "MeResponse": "Who the caller is.",
    "ReplaceAccountPlanResponse": "The account plan that ended and the one in its place.",
    "SubmitMeasurementsResponse": "That measurements were received; they are validated later.",
    "SupportResponse": "The access of m3ter's support staff.",
    "UrlDownloadResponse": "Where to download a file, with which headers.",
    "UrlUploadResponse": "Where to upload a file, with which headers.",
    "UsageQueryResponse": "What a query of usage found.",
    "UsageQueryRequestWithTimePeriod": "A query of usage over a range, or over a period such as the last week.",
}

# Units that a field's name does not say.
UNITS = {
    "expires_in": "seconds",
    "overageSurchargePercent": "percent",
    "contentLength": "bytes",
    "daysBeforeBillDue": "days",
}


def operations() -> set[str]:
    """The operations that this module speaks of, for a test to hold against the contract."""
    return set(_SUMMARIES) | set(_NOTES)


def schemas() -> set[str]:
    """The schemas that this module speaks of."""
    return set(_MODELS)


def model(name: str, python: str) -> str:
    """One line about a struct."""
    return _MODELS.get(name) or f"{_article(names.words(python)).capitalize()} {names.words(python)}."


def resource(name: str) -> str:
    """One line about a resource."""
    many = _noun(name)[1]
    return f"{many[0].upper()}{many[1:]}."


def summary(method: Method) -> str:
    """The first line of a method's docstring."""
    one, many = _noun(method.resource)
    if method.call.id in _SUMMARIES:
        return _SUMMARIES[method.call.id]
    if method.name in _VERBS:
        a_one = one if one.startswith("the ") else f"{_article(one)} {one}"
        said = _VERBS[method.name].format(many=many, a_one=a_one, plain=many.removeprefix("the "))
        return said if method.record else said.partition(";")[0].rstrip(".") + "."
    said = names.words(method.call.id)
    return f"{said[0].upper()}{said[1:]}."


def notes(method: Method) -> list[str]:
    """What else to know before calling it."""
    found = list(_NOTES.get(method.call.id, ()))
    fields = {argument.wire for argument in method.arguments if argument.place == "body"}
    if method.call.method == "PUT" and "version" in fields:
        found += [_VERSION_UPDATE, _REPLACES if "customFields" in fields else "Everything is replaced."]
    if method.call.method == "POST" and method.name.startswith("create") and "version" in fields:
        found.append(_VERSION_CREATE)
    if method.settings["repeat"] == "never" and not {_MONEY, _MAIL} & set(found):
        found.append(_ONCE)
    if method.call.deprecated:
        found.append("The service calls it deprecated.")
    return found


def _noun(name: str) -> tuple[str, str]:
    many = name.rsplit(".", 1)[-1].replace("_", " ")
    return _NOUNS.get(name, (names.singular(many), many))


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeio" or noun.startswith("up") else "a"
